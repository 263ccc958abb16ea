"""What the control process needs of the world, one file for each need; the adapters fit these shapes."""
