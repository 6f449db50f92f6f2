"""Detectors at work: once a text, for a limited time, and what is not certain is not remembered."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from session_router import Policy
from session_router.core.governance import PUBLIC, TOP, Level, Tag, join
from session_router.detectors import detecting as module
from session_router.detectors.detecting import Detected, Detecting
from session_router.detectors.patterns import PatternDetector
from session_router.errors import ConfigurationError
from session_router.router import Router
from values import specs

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

SECRET, INTERNAL = Tag(level=Level.RESTRICTED, categories=frozenset({"code"})), Tag(level=Level.INTERNAL)
QUICK = Policy(detector_seconds=0.05)


class Says:
    """Says what it is told to, in order, and then what the text is called."""

    def __init__(self, *said: Any) -> None:
        self.said = list(said)
        self.texts: list[str] = []

    def detect(self, text: str) -> Any:
        self.texts.append(text)
        said = self.said.pop(0) if self.said else SECRET if "secret" in text else PUBLIC
        if isinstance(said, BaseException):
            raise said
        return said

    async def adetect(self, text: str) -> Any:
        return self.detect(text)


def by_thread(detecting: Detecting, texts: Sequence[str]) -> list[Detected]:
    return detecting.detect(texts)


def by_loop(detecting: Detecting, texts: Sequence[str]) -> list[Detected]:
    return asyncio.run(detecting.adetect(texts))


WAYS: Any = pytest.mark.parametrize("way", [by_thread, by_loop])


@WAYS
def test_every_detector_speaks_about_every_text(way: Callable[..., list[Detected]]) -> None:
    detecting = Detecting([Says(), PatternDetector({"inter": INTERNAL})], Policy())
    texts = ["a secret", "", "inter", "inter secret", "\ud800"]
    assert way(detecting, texts) == [Detected(one) for one in (SECRET, PUBLIC, INTERNAL, join(SECRET, INTERNAL), PUBLIC)]
    assert way(detecting, []) == []


@WAYS
@given(st.lists(st.sampled_from(["secret 1", "a", "secret 2", "b", ""]), max_size=8), st.integers(0, 8))
def test_the_order_and_repetitions_of_texts_change_nothing(way: Callable[..., list[Detected]], texts: list[str], cut: int) -> None:
    says = Says()
    detecting = Detecting([says], Policy())
    found = [*way(detecting, texts[:cut]), *way(detecting, texts[cut:])]
    assert found == [Detected(SECRET if "secret" in text else PUBLIC) for text in texts]
    assert sorted(says.texts) == sorted(set(texts))


@WAYS
@pytest.mark.parametrize("wrong", [RuntimeError("secret"), KeyError(), None, "pii", {"level": 0}])
def test_what_failed_counts_as_undetected_and_is_asked_again(way: Callable[..., list[Detected]], wrong: Any) -> None:
    says = Says(wrong)
    detecting = Detecting([says, PatternDetector({"a": INTERNAL})], Policy())
    assert way(detecting, ["a", "b"]) == [Detected(join(TOP, INTERNAL), certain=False), Detected(PUBLIC)]
    assert way(detecting, ["a", "b"]) == [Detected(INTERNAL), Detected(PUBLIC)]
    assert says.texts == ["a", "b", "a"]


@WAYS
def test_what_is_undetected_is_the_policy_s_to_say_and_never_lowers(way: Callable[..., list[Detected]]) -> None:
    detecting = Detecting([Says(ValueError()), Says()], Policy(undetected=INTERNAL))
    assert way(detecting, ["a secret"]) == [Detected(join(SECRET, INTERNAL), certain=False)]


class Hangs(Says):
    def __init__(self, end: threading.Event) -> None:
        super().__init__()
        self.end = end

    def detect(self, text: str) -> Any:
        if text == "hang":
            self.texts.append(text)
            self.end.wait(20.0)
        return super().detect(text)

    async def adetect(self, text: str) -> Any:
        return await asyncio.to_thread(self.detect, text)


@WAYS
def test_who_is_late_is_left_alone_with_the_rest(way: Callable[..., list[Detected]]) -> None:
    end = threading.Event()
    hangs = Hangs(end)
    # Whoever is not late has a second: a machine that is busy makes nobody late.
    detecting = Detecting([hangs], Policy(detector_seconds=1.0))
    try:
        if way is by_loop:

            async def asked() -> list[Detected]:
                found = await detecting.adetect(["a", "hang", "b"])
                end.set()  # the loop's own threads are waited for at its end
                return found

            found = asyncio.run(asked())
        else:
            found = way(detecting, ["a", "hang", "b"])
    finally:
        end.set()
    assert found == [Detected(PUBLIC), Detected(TOP, certain=False), Detected(TOP, certain=False)]
    assert "b" not in hangs.texts


def test_those_that_hang_do_not_fill_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "AT_ONCE", 3)
    end = threading.Event()
    hangs = Hangs(end)
    detecting = Detecting([hangs], QUICK)
    try:
        before = threading.active_count()
        for _ in range(10):
            assert detecting.detect(["hang"]) == [Detected(TOP, certain=False)]
        assert threading.active_count() - before <= 3
        assert hangs.texts == ["hang"] * 3
    finally:
        end.set()
    # Those that came back leave room.
    until = time.monotonic() + 20.0
    while detecting.detect(["a"]) != [Detected(PUBLIC)] and time.monotonic() < until:
        time.sleep(0.01)
    assert detecting.detect(["a"]) == [Detected(PUBLIC)]


def test_the_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "REMEMBERED", 4)
    says = Says()
    detecting = Detecting([says], Policy())
    texts = [f"secret {number}" for number in range(10)]
    assert detecting.detect(texts) == [Detected(SECRET)] * 10
    assert detecting.detect(texts[-4:]) == [Detected(SECRET)] * 4
    assert len(says.texts) == 10
    assert detecting.detect(texts[:1]) == [Detected(SECRET)]
    assert len(says.texts) == 11


def test_no_text_is_kept() -> None:
    detecting = Detecting([Says()], Policy())
    detecting.detect(["a secret text"])
    assert "secret text" not in repr(vars(detecting))


def test_what_is_no_detector_is_told() -> None:
    with pytest.raises(ConfigurationError, match="objects with `detect` and `adetect`"):
        Router(specs(), detectors=[len])  # type: ignore[list-item]
    assert Router(specs()).detecting is None
