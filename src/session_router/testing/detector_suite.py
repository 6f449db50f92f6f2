"""The laws of a detector, as tests that any implementation can run."""

# ruff: noqa: S101 -- a law is asserted

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

from session_router.core.governance import PUBLIC, Tag, join

if TYPE_CHECKING:
    from session_router.ports import Detector

HARMLESS: Final = ("", " ", "hello there", "The weather is fine.", "\x00", "👩‍👩‍👧", "我的订单在哪里", "\ud800")
THREADS: Final = 4


class DetectorSuite:
    """Subclass it in a test module, and say which detector is meant, and what it finds.

    A fixture `detector` gives one to every test.

    ```python
    class TestMyDetector(DetectorSuite):
        telling = "Write to ann@example.org"

        @pytest.fixture
        def detector(self):
            return MyDetector()
    ```
    """

    telling: str = ""
    """A text in which the detector finds something."""

    def test_something_is_found(self, detector: Detector) -> None:
        """Without this all that follows would mean nothing."""
        found = detector.detect(self.telling)
        assert isinstance(found, Tag)
        assert found != PUBLIC

    def test_in_what_is_harmless_nothing_is_found(self, detector: Detector) -> None:
        """Whatever it is made of."""
        for text in HARMLESS:
            assert detector.detect(text) == PUBLIC, repr(text)

    def test_it_is_found_wherever_it_stands(self, detector: Detector) -> None:
        """At the beginning, at the end, in a very long text, beside what is no text."""
        found = detector.detect(self.telling)
        for around in ("", "Well. ", "word " * 60_000, "\ud800 ", "\x00 "):
            for text in (f"{around}{self.telling}", f"{self.telling} {around}"):
                assert join(found, detector.detect(text)) == detector.detect(text), f"not found in {len(text)} characters"

    def test_same_text_same_label(self, detector: Detector) -> None:
        """Sync and async, again and again."""
        found = detector.detect(self.telling)
        assert detector.detect(self.telling) == found
        assert asyncio.run(detector.adetect(self.telling)) == found
        assert asyncio.run(detector.adetect("")) == PUBLIC

    def test_threads_ask_together(self, detector: Detector) -> None:
        """No text gets the label of another."""
        found = detector.detect(self.telling)
        with ThreadPoolExecutor(THREADS) as threads:
            labels = list(threads.map(detector.detect, [self.telling, "hello there"] * 20))
        assert labels == [found, PUBLIC] * 20
