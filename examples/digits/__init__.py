"""A small network for handwritten digits, on its way to three devices."""
