"""Ids that look like the providers', and are the same in every run."""

import hashlib
import itertools


class Identifiers:
    """Mints ids that are unique within one simulator and reproducible for a seed."""

    def __init__(self, seed: str) -> None:
        """Start the row of ids that belongs to `seed`."""
        self._seed = seed
        self._count = itertools.count()

    def new(self, prefix: str) -> str:
        """Return `prefix` followed by 24 hexadecimal digits that no other id of this simulator has."""
        digest = hashlib.blake2b(f"{self._seed}/{next(self._count)}".encode(), digest_size=12)
        return prefix + digest.hexdigest()
