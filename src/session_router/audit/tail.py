"""The end of a log: its last line, and what of a line whose writer died lies behind it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Final

_BLOCK_BYTES: Final = 65_536


@dataclass(frozen=True, slots=True, kw_only=True)
class Tail:
    """The end of a log.

    Attributes:
        last: The last whole line; `None` for none.
        torn: What lies behind it, without an end of line.
        end: Bytes up to the end of the last whole line.
    """

    last: bytes | None
    torn: bytes
    end: int


def read_tail(descriptor: int, size: int) -> Tail:
    """Read backwards from `size` until a whole line was seen.

    Raises:
        OSError: It cannot be read.
    """
    content, position = b"", size
    while True:
        step = min(_BLOCK_BYTES, position)
        position -= step
        content = os.pread(descriptor, step, position) + content
        end = content.rfind(b"\n")
        start = content.rfind(b"\n", 0, max(0, end))
        if end >= 0 and (start >= 0 or position == 0):
            return Tail(last=content[start + 1 : end], torn=content[end + 1 :], end=position + end + 1)
        if position == 0:
            return Tail(last=None, torn=content, end=0)
