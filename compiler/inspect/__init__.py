"""Looks at models as they are, in any format: what they hold, how fast they run on this host, how far two lie apart."""
