"""What an error says of a value in a file: its kind, in the words of JSON, and numbers as they are. Never what a text says."""

from __future__ import annotations

from typing import Final

LONGEST: Final = 80
"""Characters of a number that anybody reads."""

_KINDS: Final = ((dict, "an object"), (list, "a list"), (str, "text"), (bool, "a truth value"), (int | float, "a number"))


def kind_of(value: object) -> str:
    """Name the kind of a value that a JSON reader made, and whether it is empty."""
    if value is None:
        return "null"
    name = next(name for kind, name in _KINDS if isinstance(value, kind))
    return f"{name} that is empty" if value in ("", [], {}) else name


def told(value: object) -> str:
    """Show a number or a truth value as JSON has it; of anything else, tell the kind."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, int | float):
        return kind_of(value)
    try:
        return repr(value)[:LONGEST]
    except ValueError:  # more digits than Python writes out
        return kind_of(value)
