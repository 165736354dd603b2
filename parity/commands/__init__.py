"""One module for each command; each has a `run` that returns the exit status."""
