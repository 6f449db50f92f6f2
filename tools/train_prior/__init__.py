"""Trains the prior of `PriorScorer`: see docs/reference/prior.md."""
