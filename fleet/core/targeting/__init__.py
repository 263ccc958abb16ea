"""Decides which devices a query means, and what a release would do to each of them."""
