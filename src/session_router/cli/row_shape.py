"""What a row that `session-router explain` reads must look like: files are not trusted."""

from __future__ import annotations

import sys
from itertools import cycle
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from session_router.recordings.kinds import told

if TYPE_CHECKING:
    from collections.abc import Iterable

Row: TypeAlias = dict[str, Any]
_Shape: TypeAlias = "type | dict[str, _Shape] | list[_Shape] | tuple[_Shape, ...]"

_REQUIRED = ("session_id", "message_index", "decision", "reason", "turn", "call", "evidence")
_CANDIDATE: _Shape = {
    "model": str,
    "excluded": str,
    "cost": float,
    "p_success": float,
    "scored": float,
    "propensity": float,
    "cached": float,
    "expected": float,
    "ingest": float,
    "loop": float,
    "risk": float,
    "handoff": float,
    "afterwards": float,
}
_UPGRADES: _Shape = {"evidence": float, "capped": int}
_EVIDENCE: _Shape = {
    "candidates": [_CANDIDATE],
    "forecast": {"calls": float, "growth": float, "output": float, "further": float, "between": float},
    "trusted": bool,
    "spent": (float, float),
    "propensity": float,
    "alarm": {"window": str, "jump": float, "limit": float},
    "upgrades": {"asked_for": str, "asked": bool, "capped": bool, "session": _UPGRADES, "principal": _UPGRADES},
    "cache": {
        "hit": str,
        "miss": str,
        "entry": str,
        "model": str,
        "age_seconds": float,
        "score": float,
        "stratum": str,
        "saved": float,
        "saved_seconds": float,
        "detail": str,
        "waited": bool,
    },
    "tag": str,
    "exposures": [{"model": str, "tag": str, "until": float}],
    "blocked_by": [str],
    "degraded": [str],
    "tokens": int,
}
_ROW: dict[str, _Shape] = {
    "session_id": str,
    "message_index": int,
    "decision": str,
    "reason": str,
    "turn": int,
    "call": int,
    "evidence": _EVIDENCE,
    "model": str,
    "previous": str,
    "lock": {"kind": str, "model": str, "waiting_for": int},
    "line": int,
    "source": str,
    "recorded_model": str,
    "policy": str,
    "tokens": {"input": int, "output": int},
    "dollars": float,
}
"""Every field that is told, and its kind: `float` is any finite number, a list names the kind of its items, a tuple each item."""


def problem_of(row: Row) -> tuple[str, str] | None:
    """Say which field of `row` is not what `session-router replay` writes, and why; `None` when all are."""
    for name in _REQUIRED:
        if row.get(name) is None:
            return name, "it is missing; give a file that `session-router replay --json` wrote."
    return _problem_in_table("", row, _ROW)


def _problem_in_table(place: str, table: Row, shapes: dict[str, _Shape]) -> tuple[str, str] | None:
    for name, shape in shapes.items():
        value: object = table.get(name)
        if value is not None and (problem := _problem_at(f"{place}{name}", value, shape)):
            return problem
    return None


def _problem_at(place: str, value: object, shape: _Shape) -> tuple[str, str] | None:
    found = told(value)
    if isinstance(shape, dict):
        if isinstance(value, dict):
            return _problem_in_table(f"{place}.", cast("Row", value), shape)
        expected = "an object or null"
    elif isinstance(shape, (list, tuple)):
        items = cast("list[object]", value) if isinstance(value, list) else []
        if isinstance(value, list) and (isinstance(shape, list) or len(items) == len(shape)):
            return _problem_in_list(f"{place}.", items, cycle(shape))
        expected = "a list" if isinstance(shape, list) else f"a list of {len(shape)}"
        found = f"a list of {len(items)}" if isinstance(value, list) else found
    elif _is_a(value, shape):
        return None
    else:
        expected = {str: "text", int: "a whole number", float: "a finite number", bool: "true or false"}[shape]
    return place, f"expected {expected}, found {found}."


def _problem_in_list(place: str, items: list[object], shapes: Iterable[_Shape]) -> tuple[str, str] | None:
    for index, (item, shape) in enumerate(zip(items, shapes, strict=False)):
        if problem := _problem_at(f"{place}{index}", item, shape):
            return problem
    return None


def _is_a(value: object, kind: type) -> bool:
    if isinstance(value, bool):
        return kind is bool
    if kind is float:
        # A whole number may be too large for a float; NaN compares to nothing.
        return isinstance(value, int | float) and abs(value) <= sys.float_info.max
    return isinstance(value, kind)
