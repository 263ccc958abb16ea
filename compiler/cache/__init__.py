"""What an earlier compilation already found out: a step is known by all that it was made from, and is done once."""
