"""Scorers: text and session features to need."""
