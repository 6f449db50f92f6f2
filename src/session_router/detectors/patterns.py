"""Detects what has a form of its own: names of projects, numbers of contracts, addresses of hosts."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from session_router.core.governance import PUBLIC, Tag, join
from session_router.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping


class PatternDetector:
    r"""Regular expressions, each with the label of what it finds. Passes `testing.DetectorSuite`.

    ```python
    PatternDetector({r"\bPROJECT-[A-Z]{4}\b": Tag(level=2, categories={"source_code"})})
    ```

    Args:
        patterns: Labels by regular expression; `(?i)` and its like may begin one.

    Raises:
        ConfigurationError: An expression is wrong, or a label is none.
    """

    def __init__(self, patterns: Mapping[str, Tag]) -> None:
        self._patterns: list[tuple[re.Pattern[str], Tag]] = []
        for pattern, tag in patterns.items():
            if not isinstance(tag, Tag):  # pyright: ignore[reportUnnecessaryIsInstance] -- callers are not all typed
                raise ConfigurationError(key="patterns", value=tag, rule="give a `Tag` for each pattern.")
            try:
                self._patterns.append((re.compile(pattern), tag))
            except re.error as error:
                raise ConfigurationError(key="patterns", value=pattern, rule=f"it is no regular expression: {error}.") from None

    def detect(self, text: str) -> Tag:
        """Return the join over the labels of all that is found."""
        found = [tag for pattern, tag in self._patterns if pattern.search(text)]
        return join(*found) if found else PUBLIC

    async def adetect(self, text: str) -> Tag:
        """Do what `detect` does; it takes no time to speak of."""
        return self.detect(text)
