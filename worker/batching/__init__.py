"""Batched: what is held until it leaves, how much that may be, and how fast it goes."""
