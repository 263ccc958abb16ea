"""Each family of sensors in a file of its own; what a device lacks, refuses or garbles is None, never an error."""
