"""What values flow through a model."""
