"""The outside world of the control process: one foreign library per file."""
