"""The control process: carries out what the core decides; imports neither numpy nor a runtime."""
