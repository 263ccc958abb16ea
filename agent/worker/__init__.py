"""The worker process: one model, its runtime, its API and its statistics."""
