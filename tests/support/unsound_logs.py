"""Audit logs that break a law each: what a suite is worth shows in what it refuses."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from session_router.audit.file import AuditFile
from session_router.audit.lines import LineCodec
from session_router.audit.reading import Fault
from session_router.errors import AuditError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

KEY = b"k" * 32


class Unchained:
    """Lines of JSON, each under a checksum of its own: no line knows the one before it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.path.touch()

    def append(self, record: Mapping[str, Any]) -> None:
        try:
            text = json.dumps(record, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise AuditError from error
        if json.loads(text) != record:
            raise AuditError
        line = json.dumps([record, LineCodec(KEY).sealed(text.encode(), b"line")])
        with self.path.open("a", encoding="ascii") as file:
            file.write(line + "\n")

    def records(self) -> Iterator[dict[str, Any]]:
        for line in self.path.read_bytes().splitlines():
            yield json.loads(line)[0]

    def problems(self) -> list[str]:
        found = []
        for line in self.path.read_bytes().splitlines():
            try:
                record, seal = json.loads(line)
            except ValueError:
                found.append("unreadable")
                continue
            if seal != LineCodec(KEY).sealed(json.dumps(record, allow_nan=False).encode(), b"line"):
                found.append("altered")
        return found


class Headless(AuditFile):
    """Does not look at the head."""

    def verify(self, **options: Any) -> Any:
        found = super().verify(**options)
        kept = [one for one in found.problems if one.fault not in {Fault.CUT, Fault.NO_HEAD, Fault.ANOTHER_LOG}]
        return type(found)(**{name: getattr(found, name) for name in found.__slots__} | {"problems": tuple(kept)})


class Unsealed(AuditFile):
    """Believes what is chained, whoever wrote it."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._codec.is_sealed = lambda line: line.sequence > 0  # type: ignore[method-assign]
