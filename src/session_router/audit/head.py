"""The signed head, apart from the log: how many lines there are. A chain alone does not show that its tail was cut."""

from __future__ import annotations

import hmac
import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from session_router.audit.canonical import canonical, number
from session_router.core.checking import is_count

if TYPE_CHECKING:
    from pathlib import Path

    from session_router.audit.lines import LineCodec

SLOT_BYTES: Final = 512
VERSION: Final = 1
_PURPOSE: Final = b"head"


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """How far a log had come.

    Attributes:
        count: Lines.
        digest: What the next line must name as `previous`; 64 hex digits.
        origin: What the first line names as `previous`: tells logs apart that one key seals.
        at: POSIX seconds at which it was written.
    """

    count: int
    digest: str
    origin: str
    at: float


def head_to_text(head: Head, codec: LineCodec) -> bytes:
    """Return a signed head as one line of canonical JSON, without its end."""
    # Written out, with names in canonical order: it is written with every record.
    body = f'"at":{number(head.at)},"count":{head.count},"digest":"{head.digest}","origin":"{head.origin}"'
    seal = codec.sealed(f'{{{body},"version":{VERSION}}}'.encode("ascii"), _PURPOSE)
    return f'{{{body},"seal":"{seal}","version":{VERSION}}}'.encode("ascii")


def head_from_text(text: bytes, codec: LineCodec) -> Head | None:
    """Read a signed head; `None` when it is none, or its signature is wrong."""
    try:
        plain: dict[str, Any] = json.loads(text)
        seal = plain.pop("seal")
        if not hmac.compare_digest(seal, codec.sealed(canonical(plain), _PURPOSE)):
            return None
        if plain["version"] != VERSION or not is_count(plain["count"]):
            return None
        return Head(count=plain["count"], digest=plain["digest"], origin=plain["origin"], at=float(plain["at"]))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a file of heads holds.

    Attributes:
        head: The newest signed head; `None` for none.
        empty: Whether there is no file, or nothing in it.
        intact: Whether all of it is as it was written.
    """

    head: Head | None
    empty: bool
    intact: bool


def read_heads(path: Path, codec: LineCodec) -> Found:
    """Read the newest head of a file: that of a log, or a copy of one head.

    Raises:
        OSError: It cannot be read.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        content = b""
    lines = [content[start : start + SLOT_BYTES].strip(b"\0 \n") for start in range(0, len(content), SLOT_BYTES)]
    heads = [head for line in lines if (head := head_from_text(line, codec)) is not None]
    newest = max(heads, key=lambda head: head.count, default=None)
    if newest is None:
        return Found(head=None, empty=not any(lines), intact=False)
    # The one before must be there as well: without it, the newest could have been damaged to hide that a line was cut.
    others = [head.count for head in heads if head is not newest]
    beside = [] if newest.count == 0 else [newest.count - 1]
    return Found(head=newest, empty=False, intact=len(heads) == len(lines) and others == beside)


class HeadFile:
    """Two places for a head, written in turn: whenever the writer dies, one of them is whole.

    Args:
        path: The file; made if there is none.
        codec: Signs.

    Raises:
        OSError: It cannot be opened.
    """

    def __init__(self, path: Path, codec: LineCodec) -> None:
        self._codec = codec
        self.written = False
        """Whether anything was written since it was opened."""
        self.descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def write(self, head: Head) -> None:
        """Write the next head.

        Raises:
            OSError: It cannot be written.
        """
        text = head_to_text(head, self._codec).ljust(SLOT_BYTES - 1) + b"\n"
        os.pwrite(self.descriptor, text, SLOT_BYTES * (head.count % 2))
        self.written = True

    def close(self) -> None:
        """Close the file."""
        os.close(self.descriptor)
