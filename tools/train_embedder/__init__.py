"""Trains the built-in embedder: see docs/reference/embedder.md."""
