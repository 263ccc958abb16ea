"""The pages that operators look at."""
