"""How values are written on the page."""

from __future__ import annotations

from math import floor, log10

LONGEST_NAME = 200


def dollars(value: float, places: int | None = None) -> str:
    """Write US dollars.

    Args:
        value: The amount.
        places: Decimals; by default two, or as many as show three digits.
    """
    places = places_of(value, digits=3) if places is None else places
    sign = "\N{MINUS SIGN}" if round(value, places) < 0 else ""
    return f"{sign}${abs(value):,.{places}f}"


def places_of(value: float, *, digits: int) -> int:
    """Return the decimals, 2 to 12, that show so many digits of `value`."""
    return min(12, max(2, digits - 1 - floor(log10(abs(value))))) if value else 2


def percent(chance: float) -> str:
    """Write a chance in [0, 1]."""
    return f"{chance:.2%}"


def count(number: int) -> str:
    """Write a whole number."""
    return f"{number:,}"


def shortened(text: str, longest: int = LONGEST_NAME) -> str:
    """Cut text that somebody else wrote where it would fill the page."""
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
