"""The side that people and scripts face: the REST API."""
