"""The benchmark finds what it should, and would count a miss."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks._audit_tampering import RECORDS, WAYS, tamper
from session_router.audit.lines import LineCodec
from session_router.audit.reading import Verifier

if TYPE_CHECKING:
    import pytest

ROWS: list[dict[str, object]] = [{"decision": "keep", "at": number, "session": f"s{number % 3}"} for number in range(RECORDS)]


def test_every_way_is_tried_and_nothing_is_missed() -> None:
    missed = tamper(10 * len(WAYS), ROWS)
    assert dict(missed.tampered) == dict.fromkeys(WAYS, 10)
    assert sum(missed.ours.values()) == 0
    assert {way for way, count in missed.alone.items() if count == 10} >= {
        "deleted",
        "swapped",
        "repeated",
        "cut",
        "moved",
        "older line put back",
    }
    assert missed.alone["flipped bit"] == 0


def test_a_verifier_that_misses_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LineCodec, "is_sealed", lambda *_: True)
    monkeypatch.setattr(Verifier, "_in_order", lambda *_: True)
    missed = tamper(10 * len(WAYS), ROWS)
    assert missed.ours["swapped"] + missed.ours["flipped bit"] > 0
