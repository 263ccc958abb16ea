"""Transformations of a graph, one a file: each says what it does in place and what holds afterwards."""
