"""What people ask of the API, and the answers that are no views; shared by server and CLI, of which each command loads its own."""
