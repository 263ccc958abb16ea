"""Signing in by the word of an OpenID Connect provider."""
