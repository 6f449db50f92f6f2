"""Erasing whom a log is about: the facts stay, the chain verifies, and nothing leads back."""

from __future__ import annotations

import os
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from session_router.audit.canonical import canonical
from session_router.audit.lines import Unreadable
from session_router.audit.reading import raw_lines

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from session_router.audit.lines import Line, LineCodec


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposure:
    """What an endpoint may still hold of what it was sent.

    Attributes:
        model: The model's name.
        endpoint: Where, as its clearance says; empty for not known.
        calls: Calls that sent something.
        until: POSIX seconds of the end of its retention; `None` for not known.
    """

    model: str
    endpoint: str
    calls: int
    until: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Erasure:
    """What an erasure did.

    Attributes:
        sequences: Numbers of the records from which whom they are about was erased.
        exposures: What providers may still hold of the calls that these records tell of.
    """

    sequences: tuple[int, ...]
    exposures: tuple[Exposure, ...]


def records_about(path: Path, codec: LineCodec, subject: str) -> Iterator[Line]:
    """Yield the records that name `subject` in what is personal.

    Raises:
        AuditUnavailable: The log cannot be read.
    """
    written = canonical(subject)
    for raw in raw_lines(path):
        if written in raw and raw.endswith(b"\n"):
            try:
                line = codec.read(raw[:-1])
            except Unreadable:
                continue
            if names(line.personal, subject):
                yield line


def names(value: object, subject: str) -> bool:
    """Whether `subject` stands anywhere in a plain value."""
    if isinstance(value, dict):
        return any(names(one, subject) for one in cast("dict[str, Any]", value).values())
    if isinstance(value, list):
        return any(names(one, subject) for one in value)  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType] -- `isinstance` cannot tell the elements' type
    return value == subject


def rewrite_without(path: Path, codec: LineCodec, sequences: frozenset[int]) -> None:
    """Put a log in place of itself in which the records of `sequences` are erased: whole or not at all.

    Raises:
        AuditUnavailable: The log cannot be read.
        OSError: It cannot be written.
    """
    draft = path.with_name(f"{path.name}.erasing")
    with open(draft, "wb", opener=_private) as file:
        file.writelines(_without(raw, codec, sequences) for raw in raw_lines(path))
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    sync_directory(path)


def _private(name: str, flags: int) -> int:
    return os.open(name, flags, 0o600)


def sync_directory(path: Path) -> None:
    """See that the name of `path` is on the disk."""
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def forget_torn(path: Path, subject: str) -> None:
    """Delete what was kept aside of torn lines if it names `subject`."""
    for aside in path.parent.glob(f"{path.name}.torn-*"):
        if subject.encode("utf-8", "surrogatepass") in aside.read_bytes():
            aside.unlink()


def exposures_of(lines: Sequence[Line], *, now: float) -> tuple[Exposure, ...]:
    """Return what providers may still hold of the calls that records tell of, by model and endpoint."""
    untils: dict[tuple[str, str], list[float | None]] = defaultdict(list)
    for line in lines:
        facts = line.facts or {}
        model = facts.get("model")
        if not isinstance(model, str) or facts.get("decision") in {"cache_hit", "refuse"}:
            continue  # nothing left
        exposure: Mapping[str, Any] = facts.get("exposure") or {}
        until = exposure.get("until")
        if until is None or until > now:
            untils[model, str(exposure.get("endpoint") or "")].append(until)
    return tuple(
        Exposure(model=model, endpoint=endpoint, calls=len(ends), until=None if None in ends else max(cast("list[float]", ends)))
        for (model, endpoint), ends in sorted(untils.items())
    )


def ranges_of(sequences: Sequence[int]) -> list[list[int]]:
    """Return ascending numbers as ranges, first and last included."""
    ranges: list[list[int]] = []
    for sequence in sequences:
        if ranges and sequence == ranges[-1][1] + 1:
            ranges[-1][1] = sequence
        else:
            ranges.append([sequence, sequence])
    return ranges


def _without(raw: bytes, codec: LineCodec, sequences: frozenset[int]) -> bytes:
    try:
        line = codec.read(raw[:-1])
    except Unreadable:
        return raw
    return codec.erased_text(line) + b"\n" if line.sequence in sequences else raw
