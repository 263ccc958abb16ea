"""Decides by statistics whether a release does worse than what it replaces."""
