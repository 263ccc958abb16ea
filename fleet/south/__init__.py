"""The side that devices face: broker, ingest, delivery, director."""
