"""Signing: keys, and the TUF repository of releases."""
