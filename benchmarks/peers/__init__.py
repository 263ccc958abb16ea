"""Servers written the usual way, for benchmarks to compare with."""
