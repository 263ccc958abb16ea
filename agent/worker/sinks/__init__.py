"""Where the results of pictures go: the newest one to callers, all of them to a file."""
