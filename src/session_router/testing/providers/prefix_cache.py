"""Providers' prompt caches: which part of a request an account's model has read lately.

Both kinds hold prefixes per owner, the pair of account and model, and of OpenAI's
`prompt_cache_key` where a request has one, and start at `MINIMUM_TOKENS`. A prefix is the
same only if every byte of it is: tools, system text and messages, in this order.
Settings outside them (temperature, tool choice) do not matter here.

    automatic       OpenAI: any prefix, in whole blocks of `BLOCK_TOKENS`, five minutes from its last use
    at breakpoints  Anthropic: prefixes that end at a `cache_control` mark, found again up to `LOOKBACK` segments
                    before a mark of the new request, five minutes or an hour from their last use
"""

import hashlib
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from session_router.testing.providers.tokens import BYTES_PER_TOKEN, Lifetime, Segment, Usage

MINIMUM_TOKENS = 1_024
BLOCK_TOKENS = 128
LOOKBACK = 20
SECONDS: dict[Lifetime, float] = {"5m": 300.0, "1h": 3_600.0}

Owner: TypeAlias = tuple[str, str]


@dataclass(kw_only=True, slots=True)
class _Entry:
    lifetime: Lifetime
    expires: float

    def refresh(self, now: float) -> None:
        self.expires = now + SECONDS[self.lifetime]


class AutomaticPrefixCache:
    """OpenAI's cache: nothing to ask for, nothing to pay for writing."""

    def __init__(self) -> None:
        """Start cold."""
        self._entries: dict[tuple[Owner, bytes], _Entry] = {}

    def use(self, owner: Owner, segments: Sequence[Segment], now: float) -> Usage:
        """Read what is cached and cache the rest; `now` in seconds. The result counts input only."""
        total = sum(segment.tokens for segment in segments)
        cached = 0
        for length, digest in _blocks(segments):
            entry = self._entries.setdefault((owner, digest), _Entry(lifetime="5m", expires=float("-inf")))
            if now < entry.expires:
                cached = length
            entry.refresh(now)
        return Usage(uncached_input=total - cached, cached_input=cached)


class BreakpointPrefixCache:
    """Anthropic's cache: prefixes that the client marked, at a price for writing."""

    def __init__(self) -> None:
        """Start cold."""
        self._entries: dict[tuple[Owner, bytes], _Entry] = {}

    def use(self, owner: Owner, segments: Sequence[Segment], now: float) -> Usage:
        """Read the longest cached prefix and write up to the last mark; `now` in seconds. Counts input only."""
        lengths = [0, *itertools.accumulate(segment.tokens for segment in segments)]
        digests = list(_prefixes(segments))
        marks = [at for at, segment in enumerate(segments) if segment.breakpoint and lengths[at + 1] >= MINIMUM_TOKENS]
        read = self._read(owner, digests, marks, now)
        written: dict[Lifetime, int] = {"5m": 0, "1h": 0}
        reached = lengths[read + 1]
        for at in marks:
            lifetime = segments[at].breakpoint or "5m"
            written[lifetime] += max(0, lengths[at + 1] - reached)
            reached = max(reached, lengths[at + 1])
            self._keep(owner, digests[at], lifetime, now)
        return Usage(
            uncached_input=lengths[-1] - reached,
            cached_input=lengths[read + 1],
            written_5m=written["5m"],
            written_1h=written["1h"],
        )

    def _read(self, owner: Owner, digests: Sequence[bytes], marks: Sequence[int], now: float) -> int:
        """Return the index of the segment that ends the longest cached prefix, or -1."""
        candidates = sorted({at for mark in marks for at in range(max(0, mark - LOOKBACK + 1), mark + 1)}, reverse=True)
        for at in candidates:
            entry = self._entries.get((owner, digests[at]))
            if entry and now < entry.expires:
                entry.refresh(now)
                return at
        return -1

    def _keep(self, owner: Owner, digest: bytes, lifetime: Lifetime, now: float) -> None:
        """Write or refresh one prefix. A live prefix keeps the longer of both lifetimes."""
        entry = self._entries.get((owner, digest))
        if entry is None or now >= entry.expires or lifetime == "1h":
            entry = self._entries[owner, digest] = _Entry(lifetime=lifetime, expires=now)
        entry.refresh(now)


def _prefixes(segments: Sequence[Segment]) -> Iterator[bytes]:
    """Yield, for each segment, the digest of everything up to and with it."""
    running = hashlib.blake2b(digest_size=16)
    for segment in segments:
        running.update(_framed(segment))
        yield running.digest()


def _framed(segment: Segment) -> bytes:
    body = segment.text.encode("utf-8", "surrogatepass")
    return f"\x00{segment.header}\x00{len(body)}\x00".encode("utf-8", "surrogatepass") + body


def _blocks(segments: Sequence[Segment]) -> Iterator[tuple[int, bytes]]:
    """Yield length in tokens and digest of every prefix that ends a whole block and is long enough to cache."""
    running = hashlib.blake2b(digest_size=16)
    length = 0
    for segment in segments:
        running.update(f"\x00{segment.header}\x00".encode("utf-8", "surrogatepass"))
        body = segment.text.encode("utf-8", "surrogatepass")
        if segment.media:
            # A picture has no text of its own length: its identity counts with its first token.
            running.update(body)
            body = bytes(segment.tokens * BYTES_PER_TOKEN)
        for start in range(0, len(body), BYTES_PER_TOKEN):
            running.update(body[start : start + BYTES_PER_TOKEN])
            length += 1
            if length % BLOCK_TOKENS == 0 and length >= MINIMUM_TOKENS:
                yield length, running.copy().digest()
