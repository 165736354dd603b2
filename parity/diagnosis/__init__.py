"""Runs inside a worker: what a difference is made of, where it starts, and what causes it."""
