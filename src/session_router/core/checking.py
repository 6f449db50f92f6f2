"""Settings check themselves where they enter."""

from __future__ import annotations

from collections.abc import Iterable
from math import inf, isfinite
from typing import TYPE_CHECKING, Any, TypeVar

from session_router.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Item = TypeVar("Item")

LARGEST_COUNT = 2**53 - 1
"""Whole numbers up to here survive every JSON reader."""

LARGEST_DOLLARS = 1e9
"""Nobody pays more for one thing; sums of it stay far from the ends of what numbers can say."""
DOLLARS_RULE = f"give US dollars >= 0 and at most {LARGEST_DOLLARS:g}."


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


def own_numbers(holder: object, *names: str) -> None:
    """Make the numbers that `holder` has under these names Python's own, where another library made them; `None` stays.

    What an array or a table gives is often no `float`, or more than one, and few who write sessions and traces down take it.
    """
    for name in names:
        value: Any = getattr(holder, name)
        # Spelled out: this runs at every boundary.
        if type(value) is not float and type(value) is not int and value is not None:
            object.__setattr__(holder, name, float(value))


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


def check_prefix(value: object) -> None:
    """Refuse what keys in Redis cannot begin with: what stands in braces would decide alone where in a cluster they all live.

    Raises:
        ConfigurationError: It is no text, is empty, or holds braces.
    """
    rule = "give a text without braces that the keys begin with."
    check_kind(value, str, key="prefix", rule=rule)
    if not value or set(str(value)) & set("{}"):
        raise ConfigurationError(key="prefix", value=value, rule=rule)


def check_methods(value: object, *names: str, key: str, rule: str) -> None:
    """Refuse what lacks one of the methods `names`.

    Raises:
        ConfigurationError: It does.
    """
    if not _has(value, names):
        raise ConfigurationError(key=key, value=value, rule=rule)


def check_ports(given: Mapping[str, object], rules: Mapping[str, tuple[Sequence[str], str]], *, within: str = "") -> None:
    """Refuse what lacks one of the methods of its port.

    Args:
        given: What was given, by port; `None` for nothing.
        rules: By port, the names of methods and what is allowed, as the error says it.
        within: What the names of ports stand under, such as `cache.`.

    Raises:
        ConfigurationError: One of them does.
    """
    for name, port in given.items():
        if port is not None:
            methods, rule = rules[name]
            check_methods(port, *methods, key=f"{within}{name}", rule=rule)


def checked_each(values: Iterable[Item], *names: str, key: str, rule: str) -> tuple[Item, ...]:
    """Return `values`, which may be there to be read once only; refuse what lacks one of the methods `names`.

    Raises:
        ConfigurationError: It is no collection, or holds something that does.
    """
    items = tuple(values) if isinstance(values, Iterable) else None  # pyright: ignore[reportUnnecessaryIsInstance] -- callers are not all typed
    if items is None or not all(_has(one, names) for one in items):
        raise ConfigurationError(key=key, value=values, rule=rule)
    return items


def _has(value: object, names: Iterable[str]) -> bool:
    found: list[object] = [getattr(value, name, None) for name in names]
    # A class has all methods, and answers to none of them.
    return not isinstance(value, type) and all(map(callable, found))
