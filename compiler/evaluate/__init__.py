"""Samples, runs, metrics and the gate."""
