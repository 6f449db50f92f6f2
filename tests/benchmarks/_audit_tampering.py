"""Tampers with an audit log in every way, and counts what is not found: by our verifier, and by one that looks at each line alone."""

from __future__ import annotations

import random
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from session_router.audit.file import AuditFile
from session_router.audit.head import read_heads
from session_router.audit.lines import LineCodec, Unreadable
from session_router.audit.reading import Verifier

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from session_router.audit.head import Found

KEY = b"k" * 32
RECORDS = 24
WAYS = ("flipped bit", "deleted", "swapped", "repeated", "cut", "cut inside a line", "moved", "older line put back")


@dataclass(frozen=True, slots=True, kw_only=True)
class Missed:
    """What was not found.

    Attributes:
        tampered: How often something was changed, by the way.
        ours: How often our verifier found nothing.
        alone: The same of a verifier that looks at each line's seal, without chain and head.
    """

    tampered: Mapping[str, int]
    ours: Mapping[str, int]
    alone: Mapping[str, int]


def tamper(rounds: int, rows: Sequence[dict[str, object]]) -> Missed:
    """Change a log `rounds` times, each time anew from what was written."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "audit.jsonl")
        with AuditFile(path, key=KEY, sync_seconds=None) as log:
            for row in rows[: RECORDS - 1]:
                log.append(row)
            # The same key sealed another end of this log before: well written, and not of it.
            heads = log.head.read_bytes()
            before = path.read_bytes()
            log.append({**rows[0], "session": "another end"})
            older = path.read_bytes()[len(before) :]
        path.write_bytes(before)
        path.with_name("audit.jsonl.head").write_bytes(heads)
        with AuditFile(path, key=KEY, sync_seconds=None) as log:
            log.append(rows[RECORDS - 1])
        lines = path.read_bytes().splitlines(keepends=True)
        codec, found = LineCodec(KEY), read_heads(path.with_name("audit.jsonl.head"), LineCodec(KEY))
    if _problems(lines, codec, found):
        msg = "the log is not sound before anything was changed"
        raise AssertionError(msg)
    numbers = random.Random(11)
    tampered, ours, alone = Counter[str](), Counter[str](), Counter[str]()
    for at in range(rounds):
        way = WAYS[at % len(WAYS)]
        changed = _changed(way, lines, older, numbers)
        tampered[way] += 1
        ours[way] += not _problems(changed, codec, found)
        alone[way] += not _unsealed(changed, codec)
    return Missed(tampered=tampered, ours=ours, alone=alone)


def _problems(lines: Sequence[bytes], codec: LineCodec, found: Found) -> bool:
    verifier = Verifier(codec=codec, found=found)
    for line in lines:
        verifier.take(line)
    return not verifier.finish().sound


def _unsealed(lines: Sequence[bytes], codec: LineCodec) -> bool:
    for line in lines:
        try:
            if not codec.is_sealed(codec.read(line.rstrip(b"\n"))):
                return True
        except Unreadable:
            return True
    return False


def _changed(way: str, lines: Sequence[bytes], older: bytes, numbers: random.Random) -> list[bytes]:
    changed = list(lines)
    at = numbers.randrange(len(lines))
    other = numbers.choice([one for one in range(len(lines)) if one != at])
    changes: dict[str, Callable[[], object]] = {
        "flipped bit": lambda: changed.__setitem__(at, _flipped(changed[at], numbers)),
        "deleted": lambda: changed.pop(at),
        "swapped": lambda: changed.__setitem__(slice(None), _swapped(changed, at, other)),
        "repeated": lambda: changed.insert(other, changed[at]),
        "cut": lambda: changed.__delitem__(slice(at, None)),
        "cut inside a line": lambda: changed.__setitem__(slice(at, None), [changed[at][: numbers.randrange(1, len(changed[at]))]]),
        "moved": lambda: changed.insert(other, changed.pop(at)),
        "older line put back": lambda: changed.__setitem__(-1, older),
    }
    changes[way]()
    # A flipped end of line makes one line of two.
    return b"".join(changed).splitlines(keepends=True)


def _flipped(line: bytes, numbers: random.Random) -> bytes:
    flipped = bytearray(line)
    flipped[numbers.randrange(len(line))] ^= 1 << numbers.randrange(8)
    return bytes(flipped)


def _swapped(lines: list[bytes], one: int, other: int) -> list[bytes]:
    swapped = list(lines)
    swapped[one], swapped[other] = lines[other], lines[one]
    return swapped
