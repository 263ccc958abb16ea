"""Decides how a rollout goes: who is offered a release and when, how each device ended, and when the fleet takes it back."""
