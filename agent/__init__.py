"""The device: a small control process, and one worker process per model."""
