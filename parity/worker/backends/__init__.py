"""Runtimes that a candidate runs in: one module each, which opens sessions and runs them."""
