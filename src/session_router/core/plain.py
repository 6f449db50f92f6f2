"""Plain values that somebody else may have written."""

from __future__ import annotations


def text_in(value: object) -> str:
    """Return `value` where it is text.

    Raises:
        TypeError: It is something else.
    """
    if not isinstance(value, str):
        msg = f"found {type(value).__name__} where text belongs"
        raise TypeError(msg)
    return value
