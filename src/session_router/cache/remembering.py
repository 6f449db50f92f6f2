"""What is remembered of texts, since it takes long to find out; and how it is forgotten when somebody is erased."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final, ParamSpec, TypeVar, cast

if TYPE_CHECKING:
    from collections.abc import Callable

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

WORDS: Final = 8_192
"""Words of which something is remembered. Most words of a question stood in others before."""

LONGEST_WORD: Final = 64
"""Letters of words that are remembered."""

_clearing: Final[list[Callable[[], None]]] = []


def remembered(maximum: int) -> Callable[[Callable[Arguments, Result]], Callable[Arguments, Result]]:
    """Return a decorator: the last `maximum` results are kept, until `forget` is called."""

    def decorated(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
        keeping = lru_cache(maxsize=maximum)(function)
        _clearing.append(keeping.cache_clear)
        return cast("Callable[Arguments, Result]", keeping)

    return decorated


def forget() -> None:
    """Forget all texts, and what was found out about them."""
    for clear in _clearing:
        clear()
