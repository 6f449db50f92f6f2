"""Figures: one JSON line each on standard output; what a person reads goes to standard error."""

from __future__ import annotations

import argparse
import json
import operator
import sys
from pathlib import Path
from typing import Any, NoReturn

SHARED = Path(__file__).resolve().parents[3] / "shared"
"""Recorded data beside the checkout."""

_RELATIONS = {"==": operator.eq, "<=": operator.le, ">=": operator.ge, "<": operator.lt, ">": operator.gt}


def figure(
    name: str,
    value: float | None,
    *,
    unit: str,
    n: int,
    target: str | None = None,
    peer: dict[str, float | None] | None = None,
    low: float | None = None,
    high: float | None = None,
    note: str = "",
) -> bool | None:
    """Print one figure.

    Args:
        name: Its name.
        value: What was measured; `None` when it could not be.
        unit: Of `value`.
        n: How many observations it rests on.
        target: Such as `<= 150` or `within [0.95, 1.05]`; `met` is computed from it.
        peer: What others, or a limit, showed in the same run.
        low: Lower end of an interval.
        high: Upper end of an interval.
        note: What one must know to read it.

    Returns:
        Whether the target was met; `None` without a target or a value.
    """
    met: bool | None = None
    if target is not None and value is not None:
        relation, _, limit = target.partition(" ")
        if relation == "within":
            least, most = json.loads(limit)
            met = least <= value <= most
        else:
            met = bool(_RELATIONS[relation](value, float(limit)))
    line: dict[str, Any] = {"figure": name, "value": value, "unit": unit, "n": n, "target": target, "met": met, "peer": peer or {}}
    line |= {key: end for key, end in (("low", low), ("high", high)) if end is not None}
    print(json.dumps({**line, "note": note}), flush=True)
    return met


def say(text: str) -> None:
    """Tell a person."""
    print(text, file=sys.stderr, flush=True)


def missing(names: list[str], reason: str) -> NoReturn:
    """Print every figure without a value, and exit with 3."""
    for name in names:
        figure(name, None, unit="", n=0, note=reason)
    say(reason)
    sys.exit(3)


def is_quick(description: str | None, *, means: str) -> bool:
    """Read the arguments of a benchmark that has no others than `--quick`.

    Args:
        description: Of the benchmark, for `--help`.
        means: What `--quick` does.
    """
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help=means)
    return bool(parser.parse_args().quick)
