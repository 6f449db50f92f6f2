"""Settings check themselves where they enter."""

from __future__ import annotations

from collections.abc import Iterable
from math import inf, isfinite

from session_router.errors import ConfigurationError

LARGEST_COUNT = 2**53 - 1
"""Whole numbers up to here survive every JSON reader."""

LARGEST_DOLLARS = 1e9
"""Nobody pays more for one thing; sums of it stay far from the ends of what numbers can say."""


def is_count(value: object) -> bool:
    """Whether `value` is a whole number, 0 or more, that survives every JSON reader."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= LARGEST_COUNT


def check_number(
    value: object,
    *,
    key: str,
    rule: str,
    low: float = 0.0,
    high: float = inf,
    below: float = inf,
    whole: bool = False,
) -> None:
    """Refuse what is not a finite number in [low, high] and below `below`.

    Args:
        value: What was given.
        key: Name of the setting.
        rule: What is allowed, as the error says it.
        low: The least allowed value.
        high: The greatest allowed value.
        below: What the value must be less than.
        whole: Whether only whole numbers are allowed.

    Raises:
        ConfigurationError: It is something else.
    """
    kinds = int if whole else (int, float)
    if isinstance(value, bool) or not isinstance(value, kinds) or not _is_finite(value) or not low <= value <= high or value >= below:
        raise ConfigurationError(key=key, value=value, rule=rule)


def _is_finite(value: float) -> bool:
    try:
        return isfinite(value)
    except OverflowError:  # a whole number that no float holds
        return False


def check_kind(value: object, kind: type | tuple[type, ...], *, key: str, rule: str) -> None:
    """Refuse what is not of `kind`.

    Raises:
        ConfigurationError: It is something else.
    """
    if not isinstance(value, kind):
        raise ConfigurationError(key=key, value=value, rule=rule)


def check_methods(value: object, *names: str, key: str, rule: str) -> None:
    """Refuse what lacks one of the methods `names`.

    Raises:
        ConfigurationError: It does.
    """
    if not _has(value, names):
        raise ConfigurationError(key=key, value=value, rule=rule)


def check_each(values: Iterable[object], *names: str, key: str, rule: str) -> None:
    """Refuse what is no collection, or holds something that lacks one of the methods `names`.

    Raises:
        ConfigurationError: It is, or does.
    """
    if not isinstance(values, Iterable) or not all(_has(one, names) for one in values):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConfigurationError(key=key, value=values, rule=rule)


def _has(value: object, names: Iterable[str]) -> bool:
    found: list[object] = [getattr(value, name, None) for name in names]
    return all(map(callable, found))
