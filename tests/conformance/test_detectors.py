"""Our detectors obey the laws of one, and one that does not is told."""

from __future__ import annotations

import inspect
import re
from functools import cache
from types import SimpleNamespace
from typing import Any

import pytest

from session_router.core.governance import PUBLIC, Level, Tag
from session_router.detectors.patterns import PatternDetector
from session_router.detectors.presidio import PresidioDetector
from session_router.testing import DetectorSuite

SECRET = Tag(level=Level.RESTRICTED, categories=frozenset({"source_code"}))


class TestPatterns(DetectorSuite):
    telling = "see PROJECT-ABCD for more"

    @pytest.fixture
    def detector(self) -> PatternDetector:
        return PatternDetector({r"\bPROJECT-[A-Z]{4}\b": SECRET, r"(?i)\binternal only\b": Tag(level=Level.INTERNAL)})


class Analyzer:
    """Presidio's interface, over one pattern."""

    def analyze(self, *, text: str, language: str, entities: list[str], score_threshold: float) -> list[Any]:
        assert (language, score_threshold) == ("en", 0.5)
        assert len(text) <= 1_000_000
        text.encode("utf-8")
        found = re.findall(r"\S+@\S+", text)
        return [SimpleNamespace(entity_type="EMAIL_ADDRESS", score=1.0) for _ in found if "EMAIL_ADDRESS" in entities]


class TestPresidioBesideAnAnalyzer(DetectorSuite):
    telling = "write to ann@example.org"

    @pytest.fixture
    def detector(self) -> PresidioDetector:
        return PresidioDetector(analyzer=Analyzer())


class TestPresidio(DetectorSuite):
    telling = "the card is 4111 1111 1111 1111"

    @pytest.fixture
    def detector(self) -> PresidioDetector:
        return presidio()


@cache
def presidio() -> PresidioDetector:
    """Presidio itself, without a model: what has a form of its own is found all the same."""
    return PresidioDetector(spacy_model=None)


class FindsByLength:
    """Finds something in whatever is long."""

    def detect(self, text: str) -> Tag:
        return SECRET if 10 < len(text) < 100 else PUBLIC

    async def adetect(self, text: str) -> Tag:
        return self.detect(text)


def test_a_detector_that_looks_at_something_else_is_refused() -> None:
    suite, broken = TestPatterns(), set()
    for name, law in inspect.getmembers(suite, inspect.ismethod):
        if name.startswith("test_"):
            try:
                law(FindsByLength())
            except AssertionError:
                broken.add(name)
    assert {"test_in_what_is_harmless_nothing_is_found", "test_it_is_found_wherever_it_stands"} <= broken
