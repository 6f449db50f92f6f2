"""The third tier: it watches, is audited, serves what is certified, and stops where it was wrong."""

from __future__ import annotations

import gc
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import pytest

from session_router.cache.facts import said_by
from session_router.cache.judge import CLOSED_WORDS, Verdict
from session_router.cache.memory_rows import MemoryEntryRows
from session_router.cache.neighbours import agreement
from session_router.cache.readings import Reading
from session_router.cache.rows import Note
from session_router.cache.semantic import SemanticCache
from session_router.cache.settings import CacheSettings
from session_router.cache.verifier import LexicalVerifier
from session_router.core.cached import CacheHit, CacheMiss, MissReason, Tier
from session_router.core.governance import Clearance, Tag
from session_router.core.wager import SCORE_BINS, SCORE_EDGES
from session_router.embedders.static import StaticEmbedder
from session_router.testing.cached import NOW, a_question, an_answer
from support.cache_traps import SAME_CONTENT, TRAPS
from support.word_embedder import WordEmbedder

if TYPE_CHECKING:
    from session_router.cache.judge import AnswerJudge
    from session_router.cache.rows import EntryRows
    from session_router.cache.similar import SimilarTier
    from session_router.core.cached import CachedAnswer, CacheQuestion

KEY = b"k" * 32
TRAP_TEXTS = [*((one.one, one.other) for one in TRAPS[::3]), *SAME_CONTENT]
STORED, ASKED = "How do I reset my password?", "How can I reset my password?"
LAX = CacheSettings(wrong=0.5, audit_share=0.0, check_seconds=60.0)
"""A handful of audits certifies."""
LONG = "word " * (CLOSED_WORDS + 1)


@dataclass
class Hears:
    """A verifier with one score, which remembers what it was told."""

    value: float = 1.0
    version: str = "hears 1"
    told: list[tuple[str, int, int]] = field(default_factory=list)

    def score(self, asked: str, stored: str, *, cosine: float, agreeing: int = 0, differing: int = 0) -> float:
        del asked, cosine
        self.told.append((stored, agreeing, differing))
        return self.value


def a_cache(rows: EntryRows | None = None, *, verifier: Any = None, judge: AnswerJudge | None = None, **changes: Any) -> SemanticCache:
    embedder = WordEmbedder(2_048)
    return SemanticCache(rows, key=KEY, embedder=embedder, verifier=verifier or Hears(), judge=judge, settings=replace(LAX, **changes))


def asked_and_answered(cache: SemanticCache, question: CacheQuestion, answer: CachedAnswer) -> CacheHit | CacheMiss:
    found = cache.look_up(question)
    if isinstance(found, CacheMiss):
        cache.store(question, answer)
        assert cache.drain()
    return found


def certified(cache: SemanticCache, *, things: int = 30) -> None:
    """Let the stratum of the top bin, of general questions, earn its certificate."""
    for number in range(things):
        for text in (f"How do I paint thing{number}?", f"How can I paint thing{number}?"):
            # Each in a partition of its own, where nothing else is near.
            found = asked_and_answered(cache, a_question(text, tenant=f"tenant{number}"), an_answer("Use a brush."))
            if isinstance(found, CacheHit):
                return
    pytest.fail("nothing was certified")


def test_it_watches_until_it_is_certified_and_then_serves() -> None:
    cache = a_cache()
    assert cache.store(a_question(STORED), an_answer("Use the form.")) is None
    first = cache.look_up(a_question(ASKED))
    assert isinstance(first, CacheMiss)
    assert first.reason is MissReason.UNCERTIFIED
    cache.abandon(a_question(ASKED))
    certified(cache)
    hit = cache.look_up(a_question(ASKED))
    assert isinstance(hit, CacheHit)
    assert (hit.tier, hit.answer.content, hit.score) == (Tier.SIMILAR, "Use the form.", 1.0)
    assert hit.stratum == f"general, bin {SCORE_BINS - 1}"
    (wager,) = cache.strata().values()
    assert wager.serves
    assert wager.entries == wager.audits, "each audit was the first of its entry"


def test_a_setting_keeps_it_watching() -> None:
    cache = a_cache(serve_similar=False)
    for number in range(30):
        for text in (f"How do I paint thing{number}?", f"How can I paint thing{number}?"):
            assert isinstance(asked_and_answered(cache, a_question(text, tenant=f"{number}"), an_answer("Use a brush.")), CacheMiss)
    (wager,) = cache.strata().values()
    assert wager.serves


def test_a_stratum_that_is_often_wrong_is_never_served() -> None:
    cache = a_cache()
    for number in range(40):
        for text in (f"How do I paint thing{number}?", f"How can I paint thing{number}?"):
            assert isinstance(asked_and_answered(cache, a_question(text, tenant=f"{number}"), an_answer(f"Say {text}")), CacheMiss)
    (wager,) = cache.strata().values()
    assert not wager.certified
    assert cache.counts()["audit.wrong"] >= 30


def test_an_entry_that_was_wrong_serves_nothing_as_far_away_again() -> None:
    cache = a_cache()
    cache.store(a_question(STORED), an_answer("Use the form."))
    asked_and_answered(cache, a_question(ASKED), an_answer("Call us."))
    certified(cache)
    # The wrong one is out for good; the other, whose answer to the question it is, would do.
    again = a_question("How might I reset my password?")
    found = cache.look_up(again)
    assert isinstance(found, CacheHit)
    assert found.answer.content == "Call us."
    cache.veto(found)
    missed = cache.look_up(again)
    assert isinstance(missed, CacheMiss)
    assert missed.reason is MissReason.VETOED
    assert isinstance(cache.look_up(a_question(STORED)), CacheHit), "the same text needs no floor"


def test_some_hits_of_certified_strata_are_audited() -> None:
    cache = a_cache()
    certified(cache)
    all_asked = a_cache(cache._rows, audit_share=1.0, audit_dollars_per_day=0.001)
    cache.store(a_question(STORED), an_answer("Use the form."))
    found = asked_and_answered(all_asked, a_question(ASKED), an_answer("Use the form!"))
    assert isinstance(found, CacheMiss)
    assert found.reason is MissReason.AUDITED
    assert all_asked.counts()["audit.right"] == 1
    # Asking again costs what the stored answer cost: two of them are the budget of the day.
    kinds = [
        type(asked_and_answered(all_asked, a_question(f"How {word} I reset my password?", now=NOW + 9), an_answer("Use the form.")))
        for word in ("could", "might", "should")
    ]
    assert kinds == [CacheMiss, CacheHit, CacheHit]


def test_what_the_judge_cannot_judge_is_never_served() -> None:
    cache = a_cache()
    certified(cache)
    cache.store(a_question(STORED), an_answer(LONG))
    found = cache.look_up(a_question(ASKED))
    assert isinstance(found, CacheMiss)
    assert found.reason is MissReason.UNCERTIFIED


@dataclass
class Judges:
    """A judge of anything, as it is told."""

    verdict: Any
    version: str = "judges 1"

    def judges(self, stored: CachedAnswer) -> bool:
        return bool(stored.content)

    def judge(self, question: str, stored: CachedAnswer, fresh: CachedAnswer) -> Verdict | None:
        del question, stored, fresh
        if isinstance(self.verdict, Exception):
            raise self.verdict
        return self.verdict


@pytest.mark.parametrize(
    ("verdict", "wrong"), [(None, 1.0), (RuntimeError("!"), 1.0), (Verdict(wrong=0.0), 0.0), (Verdict(wrong=7.0), 1.0)]
)
def test_a_judge_that_fails_counts_against_the_stratum(verdict: Any, wrong: float) -> None:
    cache = a_cache(judge=Judges(verdict))
    cache.store(a_question(STORED), an_answer(LONG))
    asked_and_answered(cache, a_question(ASKED), an_answer("Something."))
    (wager,) = cache.strata().values()
    assert (wager.audits, wager.wrong) == (1, wrong)


@pytest.mark.parametrize(
    ("fresh", "audits", "wrong"),
    [
        (an_answer("Use the form"), 1, 0.0),
        (an_answer("Call us."), 1, 1.0),
        (an_answer(tool_calls=True, finish_reason="tool_calls"), 1, 1.0),
        (an_answer("I'm sorry, but I can't help with that."), 1, 1.0),
        (an_answer(complete=False), 0, 0.0),
        (an_answer("Use", finish_reason="length"), 0, 0.0),
    ],
)
def test_fresh_answers_of_all_kinds(fresh: CachedAnswer, audits: int, wrong: float) -> None:
    cache = a_cache()
    cache.store(a_question(STORED), an_answer("Use the form."))
    asked_and_answered(cache, a_question(ASKED), fresh)
    assert [(wager.audits, wager.wrong) for wager in cache.strata().values()] == ([(audits, wrong)] if audits else [])


def test_audits_of_one_entry_count_once() -> None:
    cache = a_cache(wrong=0.01)
    cache.store(a_question(STORED), an_answer("Use the form."))
    for word in ("can", "could", "might", "should", "shall"):
        # Each fresh answer is refused, so that the entry stays the only one.
        cache.look_up(a_question(f"How {word} I reset my password?"))
        cache.store(a_question(f"How {word} I reset my password?"), an_answer("Use the form.", tag=Tag(zero_retention=True)))
        assert cache.drain()
    (wager,) = cache.strata().values()
    assert (wager.audits, wager.entries) == (5, 1)


class TestNeighbours:
    def test_they_are_told_to_the_verifier(self) -> None:
        verifier = Hears(value=0.0)
        cache = a_cache(verifier=verifier)
        answers = {"Why": "By phone.", "When": "By phone", "Where": "By letter.", "Who": LONG}
        for word, answer in answers.items():
            assert cache.store(a_question(f"{word} I reset my password?"), an_answer(answer)) is None
        verifier.told.clear()
        cache.look_up(a_question("I reset my password?"))
        told = {stored.split()[0]: counts for stored, *counts in verifier.told}
        assert told == {"Why": [1, 1], "When": [1, 1], "Where": [0, 2], "Who": [0, 0]}

    def test_what_the_reader_may_not_see_has_no_say(self) -> None:
        verifier = Hears(value=0.0)
        cache = a_cache(verifier=verifier, clearance=Clearance(trains=False, version="cache"))
        for word, expires in (("Why", None), ("When", NOW + 50), ("Where", None)):
            cache.store(a_question(f"{word} I reset my password?"), an_answer("By phone.", tag=Tag(expires_at=expires)))
        verifier.told.clear()
        cache.look_up(a_question("I reset my password?", now=NOW + 60))
        assert {stored.split()[0]: counts for stored, *counts in verifier.told} == {"Why": [1, 0], "Where": [1, 0]}

    def test_agreement_is_a_matter_of_what_is_said(self) -> None:
        found = agreement([said_by(an_answer(text)) for text in ("Yes.", "yes", "No.", LONG, LONG, LONG + "more")])
        assert found == [(1, 1), (1, 1), (0, 2), (1, 0), (1, 0), (0, 0)]
        assert agreement([]) == []
        assert agreement([said_by(an_answer("Yes."))]) == [(0, 0)]
        assert agreement([said_by(an_answer(LONG))] * 3) == [(2, 0)] * 3

    def test_what_they_are_told_is_part_of_the_stratum(self) -> None:
        rows = MemoryEntryRows()
        certified(a_cache(rows))
        for other in (
            a_cache(rows, neighbours=4),
            a_cache(rows, least_cosine=0.4),
            a_cache(rows, verifier=Hears(version="hears 2")),
            a_cache(rows, judge=Judges(Verdict(wrong=0.0))),
            a_cache(rows, wrong=0.4),
        ):
            other.store(a_question(STORED), an_answer("Use the form."))
            found = other.look_up(a_question(ASKED))
            assert isinstance(found, CacheMiss)
            assert found.reason is MissReason.UNCERTIFIED
            other.abandon(a_question(ASKED))
        same = a_cache(rows)
        assert isinstance(same.look_up(a_question(ASKED)), CacheHit)


class TestMisses:
    @pytest.mark.parametrize(
        ("asked", "score", "reason"),
        [
            ("How do I not reset my password?", 1.0, MissReason.GUARDED),
            ("How do I reset my 2 password?", 1.0, MissReason.GUARDED),
            (ASKED, SCORE_EDGES[0] - 0.01, MissReason.UNVERIFIED),
            (ASKED, float("nan"), MissReason.UNVERIFIED),
            ("Tell lies about whales", 1.0, MissReason.NOTHING),
        ],
    )
    def test_reasons(self, asked: str, score: float, reason: MissReason) -> None:
        cache = a_cache(verifier=Hears(value=score))
        cache.store(a_question(STORED), an_answer())
        found = cache.look_up(a_question(asked))
        assert isinstance(found, CacheMiss)
        assert found.reason is reason

    def test_a_verifier_that_fails_is_a_miss(self) -> None:
        class Fails(Hears):
            def score(self, asked: str, stored: str, *, cosine: float, agreeing: int = 0, differing: int = 0) -> float:
                raise RuntimeError(asked, stored, cosine, agreeing, differing)

        cache = a_cache(verifier=Fails())
        cache.store(a_question(STORED), an_answer())
        found = cache.look_up(a_question(ASKED))
        assert isinstance(found, CacheMiss)
        assert (found.reason, found.detail) == (MissReason.FAILED, "RuntimeError")
        assert isinstance(cache.look_up(a_question(STORED)), CacheHit)

    def test_a_verifier_that_is_late_is_a_miss(self, monkeypatch: pytest.MonkeyPatch) -> None:
        cache = a_cache(check_seconds=0.05)
        cache.store(a_question(STORED), an_answer())
        clock = iter(range(1_000))
        monkeypatch.setattr("session_router.cache.similar.time", type("Clock", (), {"monotonic": staticmethod(lambda: float(next(clock)))}))
        found = cache.look_up(a_question(ASKED))
        assert isinstance(found, CacheMiss)
        assert found.reason is MissReason.LATE

    def test_an_embedder_that_fails_is_a_miss(self) -> None:
        cache = a_cache()
        cache.store(a_question(STORED), an_answer())
        cache._embedder = type("Fails", (), {"dimension": 48, "embed": lambda *_: 1 / 0})()
        assert isinstance(cache.look_up(a_question(STORED)), CacheHit)
        found = cache.look_up(a_question(ASKED))
        assert isinstance(found, CacheMiss)
        assert cache.counts()["failed.embed.ZeroDivisionError"] == 1

    def test_a_tampered_certificate_is_none(self) -> None:
        rows = MemoryEntryRows()
        certified(a_cache(rows))
        ((name, note),) = rows._notes.items()
        rows._notes[name] = Note(payload=note.payload.replace(b'"wrong":0.0', b'"wrong":0.5'), seal=note.seal)
        cache = a_cache(rows)
        assert cache.strata() == {}
        cache.store(a_question(STORED), an_answer("Use the form."))
        assert isinstance(cache.look_up(a_question(ASKED)), CacheMiss)

    def test_a_tampered_vector_is_evicted_and_counted(self) -> None:
        rows = MemoryEntryRows()
        cache = a_cache(rows)
        certified(cache)
        cache.store(a_question(STORED), an_answer("Use the form."))
        assert isinstance(cache.look_up(a_question(ASKED)), CacheHit)
        number = max(rows._rows)
        rows._rows[number] = replace(rows._rows[number], payload=rows._rows[number].payload.replace(b"the form", b"my form!"))
        assert isinstance(cache.look_up(a_question(ASKED)), CacheMiss)
        assert cache.counts()["evicted.tampered"] == 1
        assert number not in rows._rows


class TestWhatTheIndexKnows:
    """What the index knows of an entry spares reading it, and serves nothing by itself."""

    def served(self, cache: SemanticCache, **changes: Any) -> str | MissReason:
        question = a_question(ASKED, **changes)
        found = cache.look_up(question)
        cache.abandon(question)
        return str(found.answer.content) if isinstance(found, CacheHit) else found.reason

    def two(self, rows: EntryRows, **changes: Any) -> SemanticCache:
        """Return a cache with two near entries, of which the first is nearer, and a certificate."""
        cache = a_cache(rows, **changes)
        certified(cache)
        cache.store(a_question(STORED), an_answer("Use the form."))
        cache.store(a_question("How do I reset my own password?"), an_answer("Call us."))
        return cache

    def test_where_the_best_was_tampered_with_the_next_best_is_served(self) -> None:
        rows = MemoryEntryRows()
        cache = self.two(rows)
        assert self.served(cache) == "Use the form."
        (number,) = (number for number, row in rows._rows.items() if b"Use the form." in row.payload)
        rows._rows[number] = replace(rows._rows[number], payload=rows._rows[number].payload.replace(b"the form", b"my form!"))
        assert self.served(cache) == "Call us."
        assert cache.counts()["evicted.tampered"] == 1
        assert number not in rows._rows
        assert self.served(cache) == "Call us."
        assert cache.counts()["evicted.tampered"] == 1

    def test_what_fell_has_no_say(self) -> None:
        rows, verifier = MemoryEntryRows(), Hears(value=0.0)
        cache = self.two(rows, verifier=Hears())
        cache = a_cache(rows, verifier=verifier)
        self.served(cache)
        assert verifier.told == [(STORED, 0, 1), ("How do I reset my own password?", 0, 1)]
        (number,) = (number for number, row in rows._rows.items() if b"Use the form." in row.payload)
        # Another byte at its end, whatever it was: the key is random.
        seal = rows._rows[number].seal
        rows._rows[number] = replace(rows._rows[number], seal=seal[:-1] + bytes([seal[-1] ^ 1]))
        verifier.told.clear()
        self.served(cache)
        assert verifier.told == [("How do I reset my own password?", 0, 0)]

    def test_what_is_over_is_evicted_and_the_next_best_served(self) -> None:
        cache = a_cache()
        certified(cache)
        cache.store(a_question(STORED), an_answer("Use the form.", expires_at=NOW + 50))
        cache.store(a_question("How do I reset my own password?"), an_answer("Call us."))
        assert self.served(cache, now=NOW + 49) == "Use the form."
        assert self.served(cache, now=NOW + 50) == "Call us."
        assert cache.counts()["evicted.expired"] == 1

    def test_what_was_erased_is_not_served(self) -> None:
        cache = a_cache()
        certified(cache)
        cache.store(a_question(STORED), an_answer("Use the form.", tag=Tag(subjects=frozenset({"s1"}))))
        assert self.served(cache) == "Use the form."
        # As another process does it: this index is not told.
        cache.rows.erase("s1", at=NOW)
        assert self.served(cache) is MissReason.NOTHING

    def test_a_floor_that_rose_elsewhere_counts(self) -> None:
        rows = MemoryEntryRows()
        cache, other = self.two(rows), a_cache(rows)
        question = a_question(ASKED)
        hit = other.look_up(question)
        assert isinstance(hit, CacheHit)
        assert self.served(cache) == "Use the form."
        other.veto(hit)
        assert self.served(cache) == "Call us."

    def test_rows_that_cannot_reach_a_bin_are_not_read(self, monkeypatch: pytest.MonkeyPatch) -> None:
        cache = SemanticCache(key=KEY, embedder=WordEmbedder(2_048), settings=LAX)
        for number, answer in enumerate(("By phone.", "By letter.", "Online.", "Never.")):
            cache.store(a_question(f"How do I reset my password of device{number}?"), an_answer(answer))
        missed = cache.look_up(question := a_question("How can I reset my password of gadget?"))
        cache.abandon(question)
        assert isinstance(missed, CacheMiss)
        assert missed.reason is MissReason.UNVERIFIED
        read: list[int] = []
        decode = cache._codec.decode
        monkeypatch.setattr(cache._codec, "decode", lambda row: read.append(row.number) or decode(row))
        assert cache.look_up(question) == missed
        assert read == []

    @pytest.mark.parametrize("outlined", [False, True])
    def test_bounds_change_nothing_but_the_work(self, *, outlined: bool) -> None:
        """What is served, and with which score, is what it is where every neighbour is read."""

        class Unbounded:
            def __init__(self) -> None:
                self.score, self.version = LexicalVerifier().score, LexicalVerifier().version

        rows = MemoryEntryRows()
        asked = [a_question(one) for one, _ in TRAP_TEXTS]
        plain, bounded = (
            SemanticCache(rows, key=KEY, embedder=StaticEmbedder(), verifier=verifier, settings=LAX)
            for verifier in (Unbounded(), LexicalVerifier())
        )
        for number, (_, other) in enumerate(TRAP_TEXTS):
            plain.store(a_question(other), an_answer(("Yes.", "No.", LONG)[number % 3]))
        tiers = [cache._parts.similar for cache in (plain, bounded)]
        if outlined:
            indexes = bounded._parts.indexes
            assert indexes is not None
            indexes.read_new(asked_partition(bounded, asked[0]))
            indexes._build(asked_partition(bounded, asked[0]))
        served = 0
        for question in asked:
            one, other = (would_be(cache, tier, question) for cache, tier in zip((plain, bounded), tiers, strict=True))
            assert one == other, question.text
            served += one is not None
        assert served > 5


def asked_partition(cache: SemanticCache, question: CacheQuestion) -> str:
    asked = cache._asked(question)
    assert not isinstance(asked, CacheMiss)
    return asked.partition


def would_be(cache: SemanticCache, tier: SimilarTier | None, question: CacheQuestion) -> tuple[str, float] | None:
    """Return entry and score of the would-be hit of a question."""
    asked = cache._asked(question)
    assert tier is not None
    if isinstance(asked, CacheMiss):
        return None
    assert cache._embedder is not None
    vector = cache._embedder.embed([question.text])[0]
    near = tier._indexes.search(asked.partition, vector, 5) or []
    best = tier._best(asked, vector, [one for one in near if one.cosine >= LAX.least_cosine])
    return None if isinstance(best, MissReason) else (best.entry.id, best.score)


def test_work_does_not_grow_with_answers() -> None:
    cache = a_cache()
    for number in range(5):
        cache.store(a_question(f"How {number} do I reset my password?"), an_answer("word " * 100_000 + str(number)))
    started = time.process_time()
    cache.look_up(a_question("How 9 do I reset my password?"))
    assert time.process_time() - started < 30


def test_an_erasure_forgets_what_was_read_of_texts() -> None:
    cache = a_cache()
    secret = a_question("How do I reset the password of Zebulon?", tag=Tag(subjects=frozenset({"s1"})))
    cache.store(secret, an_answer())
    cache.look_up(replace(secret, text="How can I reset the password of Zebulon?"))
    gc.collect()
    assert any("Zebulon" in reading.text for reading in gc.get_objects() if type(reading) is Reading)
    cache.erase("s1", now=NOW)
    gc.collect()
    assert not any("Zebulon" in reading.text for reading in gc.get_objects() if type(reading) is Reading)
