"""The pages that operators look at: what the fleet is, what runs on it, and what is on its way."""
