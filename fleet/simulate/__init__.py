"""Plays a fleet of devices that are not there, so that a rollout can be rehearsed before it meets real ones."""
