"""Examples that run: each folder is one model's way from training to the fleet."""
