"""A detector may raise a label and never lowers it; one that fails lets nothing pass."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from session_router.core.governance import PUBLIC, TOP, Level, Tag, join
from session_router.detectors.patterns import PatternDetector
from session_router.detectors.presidio import LABELS, PresidioDetector
from session_router.detectors.raising import araised, raised
from session_router.errors import ConfigurationError, MissingExtra
from session_router.testing.strategies import tags

if TYPE_CHECKING:
    from collections.abc import Callable


class Finds:
    def __init__(self, found: Any) -> None:
        self.found = found

    def detect(self, text: str) -> Any:
        del text
        if isinstance(self.found, Exception):
            raise self.found
        return self.found

    async def adetect(self, text: str) -> Any:
        return self.detect(text)


WAYS: list[Callable[..., Tag]] = [raised, lambda *given, **options: asyncio.run(araised(*given, **options))]


@pytest.mark.parametrize("way", WAYS, ids=["sync", "async"])
def test_the_label_is_the_join_whatever_is_found(way: Callable[..., Tag]) -> None:
    @given(tags(), st.lists(tags(), max_size=3))
    def law(tag: Tag, found: list[Tag]) -> None:
        result = way(tag, "text", [Finds(one) for one in found])
        assert result == join(tag, *found)
        assert join(tag, result) == result

    law()


@pytest.mark.parametrize("way", WAYS, ids=["sync", "async"])
@pytest.mark.parametrize("found", [RuntimeError("a secret text"), None, "pii", {"level": 0}])
def test_a_detector_that_fails_lets_nothing_pass(way: Callable[..., Tag], found: Any, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert way(PUBLIC, "a secret text", [Finds(PUBLIC), Finds(found)]) == TOP
    assert "Finds failed" in caplog.text
    assert "secret" not in caplog.text
    internal = Tag(level=Level.INTERNAL)
    assert way(PUBLIC, "text", [Finds(found)], on_failure=internal) == internal


def test_wrong_patterns_are_told() -> None:
    with pytest.raises(ConfigurationError, match="it is no regular expression"):
        PatternDetector({"(": PUBLIC})
    with pytest.raises(ConfigurationError, match="give a `Tag`"):
        PatternDetector({"x": "pii"})  # type: ignore[dict-item]


def test_without_presidio_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib

    load = importlib.import_module

    def missing(name: str, *rest: Any) -> Any:
        if name.startswith(("presidio", "spacy")):
            raise ImportError(name)
        return load(name, *rest)

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(MissingExtra, match=r"session-router\[detectors\]"):
        PresidioDetector()


def test_wrong_settings_of_presidio_are_told() -> None:
    with pytest.raises(ConfigurationError, match="a score in"):
        PresidioDetector(least_score=2.0, analyzer=object())
    with pytest.raises(ConfigurationError, match="at least one entity"):
        PresidioDetector({}, analyzer=object())
    assert all(tag.level is Level.CONFIDENTIAL and "pii" in tag.categories for tag in LABELS.values())
