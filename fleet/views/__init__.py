"""What the fleet tells people, in the words of the REST API; CLI and dashboard show these values, and load those that they need."""
