"""What two parties must agree on: pure values and rules, with no socket, thread, clock or log."""
