"""Inference runtimes behind one port, one library per file."""
