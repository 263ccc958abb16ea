"""Decisions of the fleet: pure, with time and chance as arguments."""
