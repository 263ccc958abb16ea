"""What the fleet remembers: rows in a database, files by digest."""
