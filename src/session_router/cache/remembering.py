"""What is remembered of texts, since it takes long to find out; and how it is forgotten when somebody is erased."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final, Generic, ParamSpec, TypeVar, cast

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


class Words(dict[str, Result], Generic[Result]):
    """What `function` says of words, by word. It is quicker than what `remembered` makes, and begins anew when it is full.

    Args:
        function: Asked about each word that is not known, and about longer ones whenever they come.
    """

    def __init__(self, function: Callable[[str], Result]) -> None:
        super().__init__()
        self._function = function
        _clearing.append(self.clear)

    def __missing__(self, word: str) -> Result:
        """Ask about a word."""
        found = self._function(word)
        if len(word) <= LONGEST_WORD:
            if len(self) >= WORDS:
                self.clear()
            self[word] = found
        return found


def forget() -> None:
    """Forget all texts, and what was found out about them."""
    for clear in _clearing:
        clear()
