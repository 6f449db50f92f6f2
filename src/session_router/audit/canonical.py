"""Canonical JSON (RFC 8785): one value has one text, whoever writes it."""

from __future__ import annotations

from json.encoder import encode_basestring as _string
from math import isfinite
from typing import TYPE_CHECKING, Any, Final

from session_router.core.checking import LARGEST_COUNT

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_KEPT_SHAPES: Final = 1_024
_digits: Final = float.__repr__
_MOST_DIGITS_BEFORE_THE_POINT: Final = 21
_MOST_ZEROS_AFTER_THE_POINT: Final = 6

_shapes: dict[tuple[str, ...], tuple[tuple[str, str], ...]] = {}


def canonical(value: object) -> bytes:
    """Return `value` as canonical JSON, in UTF-8.

    A lone surrogate, which RFC 8785 has no text for, is written as its escape.

    Raises:
        ValueError: A number has no place in JSON, or is a whole number beyond 2**53.
        TypeError: It is no plain value.
        RecursionError: It is nested too deep.
    """
    return encoded(text_of(value))


def encoded(text: str) -> bytes:
    """Return canonical text as bytes."""
    return text.encode("utf-8", "backslashreplace")


def text_of(value: object) -> str:
    """Return `value` as canonical JSON. Raises as `canonical` does."""
    return _WRITERS.get(type(value), _rest)(value)


def _table(value: dict[str, object]) -> str:
    # Written out: this is most of what a record costs.
    names = tuple(value)
    pairs: list[str] = []
    for name, label in _shapes.get(names) or _shape(names):
        one = value[name]
        if type(one) is str:
            text = _string(one)
        elif type(one) is float:
            text = number(one)
        else:
            text = _WRITERS.get(type(one), _rest)(one)
        pairs.append(label + text)
    return "{" + ",".join(pairs) + "}"


def _list(value: Sequence[object]) -> str:
    return "[" + ",".join([text_of(one) for one in value]) + "]"


def _whole(value: int) -> str:
    if abs(value) > LARGEST_COUNT:
        msg = "a whole number beyond 2**53 is not the same for every reader"
        raise ValueError(msg)
    return int.__repr__(value)


def _rest(value: object) -> str:
    """Write what is derived from a plain type, such as an enumeration."""
    for kind, writer in _WRITERS.items():
        if isinstance(value, kind):
            return writer(value)
    msg = f"{type(value).__name__} is no plain value"
    raise TypeError(msg)


def number(value: float) -> str:
    """Return `value` as ECMAScript writes it (RFC 8785, section 3.2.2.3).

    Raises:
        ValueError: It is not finite.
    """
    text = _digits(value)
    if "e" not in text and "n" not in text:
        # Both write the shortest digits that lead back to the value.
        if text[-1] != "0" or text[-2] != ".":
            return text
        return "0" if text == "-0.0" else text[:-2]
    if not isfinite(value):
        msg = f"{value!r} has no place in JSON"
        raise ValueError(msg)
    sign = "-" if value < 0 else ""
    mantissa, _, power = text.lstrip("-").partition("e")
    whole, _, part = mantissa.partition(".")
    digits, exponent = (whole + part).rstrip("0"), int(power)
    if 0 <= exponent < _MOST_DIGITS_BEFORE_THE_POINT:
        return sign + digits.ljust(exponent + 1, "0")
    if -_MOST_ZEROS_AFTER_THE_POINT <= exponent < 0:
        return sign + "0." + "0" * (-exponent - 1) + digits
    point = "." + digits[1:] if len(digits) > 1 else ""
    return f"{sign}{digits[0]}{point}e{exponent:+d}"


def _shape(names: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """Return the names of a table in their order, each with its text; tables of a few shapes are most of what is written."""
    if not all(isinstance(name, str) for name in names):  # pyright: ignore[reportUnnecessaryIsInstance] -- a record may hold anything
        msg = "a name in JSON is text"
        raise TypeError(msg)
    # By UTF-16 code units, as RFC 8785 asks: beyond ASCII that is not the order of code points.
    in_order = sorted(names, key=lambda name: name.encode("utf-16-be", "surrogatepass"))
    shape = tuple((name, _string(name) + ":") for name in in_order)
    if len(_shapes) < _KEPT_SHAPES:
        _shapes[names] = shape
    return shape


_WRITERS: Final[dict[type, Callable[[Any], str]]] = {
    str: _string,
    float: number,
    bool: {True: "true", False: "false"}.__getitem__,
    int: _whole,
    type(None): lambda _: "null",
    dict: _table,
    list: _list,
    tuple: _list,
}
"""In this order: a truth value is a whole number too."""
