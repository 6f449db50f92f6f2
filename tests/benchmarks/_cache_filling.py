"""Caches of many entries over many partitions, and questions that are nearly those that were stored."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from random import Random
from typing import TYPE_CHECKING, Final

import numpy as np

from session_router.cache.entry import Entry
from session_router.cache.semantic import SemanticCache
from session_router.cache.settings import CacheSettings
from session_router.core.wager import SCORE_BINS, Audit, Stratum
from session_router.embedders.static import StaticEmbedder
from session_router.testing.cached import NOW, a_question, an_answer

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from session_router.core.cached import CachedAnswer, CacheQuestion

KEY: Final = b"k" * 32
_AT_ONCE: Final = 10_000
_ASKED: Final = 20
_HOW: Final = (
    "How do I",
    "Where do I",
    "When should I",
    "Why must I",
    "Who helps me to",
    "What does it cost to",
    "How long does it take to",
)
_DO: Final = [
    "renew",
    "cancel",
    "find",
    "replace",
    "order",
    "return",
    "check",
    "open",
    "close",
    "change",
    "report",
    "move",
    "share",
    "print",
    "store",
    "send",
    "block",
    "lock",
    "unlock",
    "update",
    "activate",
    "insure",
    "repair",
    "sell",
    "buy",
    "rent",
    "lend",
    "register",
    "transfer",
    "upgrade",
    "downgrade",
    "pause",
    "restart",
    "clean",
    "sort",
    "count",
    "measure",
    "split",
    "merge",
    "sign",
]
_WHAT: Final = [
    "card",
    "account",
    "invoice",
    "contract",
    "printer",
    "router",
    "phone",
    "laptop",
    "camera",
    "bicycle",
    "car",
    "ticket",
    "parcel",
    "letter",
    "key",
    "password",
    "photo",
    "calendar",
    "profile",
    "address",
    "receipt",
    "voucher",
    "loan",
    "mortgage",
    "salary",
    "pension",
    "visa",
    "passport",
    "licence",
    "certificate",
    "subscription",
    "membership",
    "booking",
    "reservation",
    "room",
    "table",
    "garden",
    "boiler",
    "window",
    "door",
    "lamp",
    "battery",
    "charger",
    "cable",
    "keyboard",
    "screen",
    "speaker",
    "headset",
    "watch",
    "ring",
    "coat",
    "shoe",
    "bag",
    "suitcase",
    "tent",
    "boat",
    "engine",
    "tyre",
    "mirror",
    "seat",
    "helmet",
    "ladder",
    "hammer",
    "drill",
    "saw",
    "pump",
    "filter",
]
_WHERE: Final = [
    "Berlin",
    "Paris",
    "Rome",
    "Oslo",
    "Lima",
    "Cairo",
    "Delhi",
    "Tokyo",
    "Madrid",
    "Lisbon",
    "Vienna",
    "Prague",
    "Dublin",
    "Athens",
    "Warsaw",
    "Helsinki",
    "Zurich",
    "Geneva",
    "Munich",
    "Hamburg",
    "Milan",
    "Naples",
    "Seville",
    "Porto",
    "Lyon",
    "Nice",
    "Ghent",
    "Bruges",
    "Leiden",
    "Utrecht",
    "Malmo",
    "Bergen",
    "Turku",
    "Riga",
    "Vilnius",
    "Tallinn",
    "Krakow",
    "Gdansk",
    "Brno",
    "Graz",
]
_OF: Final = [
    "mother",
    "father",
    "sister",
    "brother",
    "boss",
    "friend",
    "neighbour",
    "doctor",
    "teacher",
    "lawyer",
    "client",
    "tenant",
    "landlord",
    "guest",
    "child",
]
_ANSWERS: Final = ("Use the form.", "Call us.", "At the counter.", "In the settings.", "Ask your bank.", "By letter.", "Online.")


class SwitchedEmbedder:
    """The built-in embedder, which can be told to remember what it will be asked: then a look-up pays for everything else."""

    def __init__(self) -> None:
        self._inner = StaticEmbedder()
        self.dimension, self.fingerprint = self._inner.dimension, self._inner.fingerprint
        self._known: dict[str, NDArray[np.float32]] = {}

    def remember(self, texts: Sequence[str]) -> None:
        """Keep the rows of some texts, and nothing else."""
        rows = self._inner.embed(texts)
        self._known = {text: rows[number : number + 1] for number, text in enumerate(texts)}

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return unit rows."""
        known = self._known.get(texts[0])
        return self._inner.embed(texts) if known is None else known

    async def aembed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Do the same."""
        return self.embed(texts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Filled:
    """A cache, and what to ask it.

    Attributes:
        cache: The cache.
        embedder: Its embedder.
        questions: Each has been answered in other words.
        seconds: That filling took, and building the indexes.
        processor_seconds: Likewise, without the time in which others had the processor.
    """

    cache: SemanticCache
    embedder: SwitchedEmbedder
    questions: Sequence[CacheQuestion]
    seconds: tuple[float, float]
    processor_seconds: tuple[float, float]


def texts(count: int, seed: int = 0) -> Iterator[str]:
    """Yield different questions put together from words."""
    random, places = Random(seed), len(_HOW) * len(_DO) * len(_WHAT) * len(_WHERE) * len(_OF)
    for number in random.sample(range(places), count):
        parts = []
        for words in (_HOW, _DO, _WHAT, _WHERE, _OF):
            number, place = divmod(number, len(words))  # noqa: PLW2901 -- its digits
            parts.append(words[place])
        how, do, what, where, of = parts
        yield f"{how} {do} the {what} of my {of} in {where}?"


def filled(entries: int, partitions: int, *, asked: int) -> Filled:
    """Return a cache with so many entries over so many partitions, with its indexes built and all strata certified."""
    embedder = SwitchedEmbedder()
    settings = CacheSettings(maximum_entries=2 * entries, audit_share=0.0, check_seconds=1.0)
    cache = SemanticCache(key=KEY, embedder=embedder, settings=settings)
    moments = [(time.perf_counter(), time.process_time())]
    known = list(texts(entries))
    # Made once: half of the time that filling a million entries takes would be spent on them.
    tenants = [a_question(tenant=str(number)) for number in range(min(entries, partitions))]
    answers = [an_answer(text) for text in _ANSWERS]
    for start in range(0, entries, _AT_ONCE):
        some = known[start : start + _AT_ONCE]
        for number, (text, row) in enumerate(zip(some, embedder.embed(some), strict=True), start):
            _put(cache, replace(tenants[number % partitions], text=text), answers[number % len(answers)], row, number)
    moments.append((time.perf_counter(), time.process_time()))
    random = Random(1)
    few = random.sample(range(min(entries, partitions)), min(partitions, _ASKED))
    places = [place for partition in few for place in range(partition, entries, partitions)]
    questions = [_in_other_words(known[place], place % partitions) for place in random.sample(places, min(asked, len(places)))]
    embedder.remember([question.text for question in questions])
    for question in questions:
        cache.look_up(question)
        cache.abandon(question)
        cache.drain(3_600)
    _certify(cache, questions)
    moments.append((time.perf_counter(), time.process_time()))
    seconds, processor = np.diff(np.array(moments), axis=0).T.tolist()
    return Filled(cache=cache, embedder=embedder, questions=questions, seconds=tuple(seconds), processor_seconds=tuple(processor))


def _in_other_words(text: str, partition: int) -> CacheQuestion:
    other = text.replace(" the ", " this ").replace("do I", "can I").replace("should I", "shall I")
    return a_question(other, tenant=str(partition), now=NOW + 60)


def _put(cache: SemanticCache, question: CacheQuestion, answer: CachedAnswer, row: NDArray[np.float32], number: int) -> None:
    asked = cache._asked(question)
    assert not hasattr(asked, "reason")
    entry = Entry(
        id=f"{number:032x}",
        partition=asked.partition,
        exact=asked.exact,
        # It takes longest, and would be found by nobody.
        content=asked.exact,
        text=question.text,
        answer=answer,
        category="general",
        policy_epoch=question.policy_epoch,
        knowledge_epoch=question.knowledge_epoch,
        model_class=question.model_class,
        asked_at=question.now,
        expires_at=NOW + 86_400,
        vector=row.tobytes(),
    )
    cache._rows.put(cache._codec.encode(entry), asked_at=question.now)


def _certify(cache: SemanticCache, questions: Sequence[CacheQuestion]) -> None:
    audits = cache._parts.audits
    for question in questions:
        cache.look_up(question)
        would_be = next(iter(audits._pending.values()), None)
        cache.abandon(question)
        if would_be is not None:
            for number in range(SCORE_BINS):
                stratum: Stratum = replace(would_be.stratum, score_bin=number)
                while not cache._strata.wager(stratum).serves:
                    cache._strata.audited(stratum, Audit(wrong=0.0))
            return
