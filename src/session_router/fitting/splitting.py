"""Which outcomes are fitted to and which are held out: by a hash of the prompt, so that equal prompts stay together."""

from __future__ import annotations

import hashlib

HELD_OUT = 0.3
"""Share of the prompts that nothing is fitted to."""

FOLDS = 5
"""Parts of the others: each is predicted from the rest when a ridge is chosen and chances are calibrated."""


def place_of(text: str, *, seed: int, purpose: str) -> float:
    """Return where the prompt `text` falls in [0, 1): the same for equal texts, in any file and in any order.

    Args:
        text: In canonical form.
        seed: Another one gives another split.
        purpose: What it is for: places for different purposes have nothing to do with each other.
    """
    data = f"{purpose}:{seed}:".encode() + text.encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(data, digest_size=6).digest(), "big") / 2**48
