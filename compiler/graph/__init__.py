"""What is known about a graph, and its normal form."""
