"""Decisions of the device: pure, with time and chance as arguments."""
