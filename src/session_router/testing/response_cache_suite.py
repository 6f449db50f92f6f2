"""The laws of a response cache, as tests that any implementation can run: isolation first."""

# ruff: noqa: S101 -- a law is asserted

from __future__ import annotations

import asyncio
from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING, Any, Final

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from session_router.core.cached import CacheHit, CacheMiss
from session_router.core.governance import Clearance, Tag
from session_router.testing.cached import (
    APART,
    CONFUSABLE,
    NOW,
    READER,
    UNKEPT,
    UNTRUSTED,
    WAYS,
    a_question,
    an_answer,
    apart_by,
    content_of,
    is_miss,
    look_up,
    store,
)
from session_router.testing.response_cache_flights import AtTheSameTime

if TYPE_CHECKING:
    from session_router.ports import ResponseCache

# The field first: else those with few values would seldom be tried alone.
_CHANGE: Final = st.sampled_from(sorted(CONFUSABLE)).flatmap(lambda name: st.tuples(st.just(name), st.sampled_from(CONFUSABLE[name])))

_NUMBERS: Final = count(1)

HOUR: Final = 3_600.0


class ResponseCacheSuite(AtTheSameTime):
    """Subclass it in a test module, and say which cache is meant.

    A fixture `cache` gives an empty one of its own to every test. It must be allowed to keep public data. The other methods say what
    no port can ask for.

    ```python
    class TestMyCache(ResponseCacheSuite):
        @pytest.fixture
        def cache(self):
            return MyCache(key=KEY)

        def with_another_embedder(self, cache):
            return MyCache(storage=cache.storage, key=KEY, embedder=other)

        def tamper(self, cache):
            cache.storage.flip_a_bit_in_every_row()

        def tampered(self, cache):
            return cache.counts["tampered"]
    ```
    """

    def with_another_embedder(self, cache: ResponseCache) -> ResponseCache:
        """Return a cache over the storage and the key of `cache`, with an embedder of another fingerprint."""
        raise NotImplementedError

    def tamper(self, cache: ResponseCache) -> None:
        """Alter every stored answer, as somebody would who can write to the storage and does not have the key."""
        raise NotImplementedError

    def tampered(self, cache: ResponseCache) -> int:
        """Return how many altered answers `cache` has met."""
        raise NotImplementedError

    # What is stored is what is replayed.

    def test_a_question_that_was_answered_is_a_hit(self, cache: ResponseCache) -> None:
        """Without this all that follows would mean nothing."""
        for way in WAYS:
            question, answer = a_question(f"What does {way} cost?"), an_answer(f"{way} is free.")
            assert is_miss(cache, question)
            assert store(way, cache, question, answer) is None
            for again in WAYS:
                hit = look_up(again, cache, replace(question, now=NOW + 60))
                assert isinstance(hit, CacheHit), f"stored {way}, looked up {again}: {hit}"
                assert (hit.answer.content, hit.answer.model, hit.answer.at) == (answer.content, answer.model, answer.at)
                assert (hit.answer.usage, hit.answer.cost) == (answer.usage, answer.cost)
                assert hit.age_seconds == 59  # noqa: PLR2004 -- between the answer and now

    def test_later_answer_replaces_the_earlier(self, cache: ResponseCache) -> None:
        """A question has one answer."""
        question = a_question()
        for content in ("The first.", "The second."):
            assert cache.store(question, an_answer(content)) is None
            assert content_of(cache, question) == content

    def test_strange_texts_are_texts(self, cache: ResponseCache) -> None:
        """Other scripts, control characters, lone surrogates."""
        for text in ("我的订单在哪里", "أين طلبي؟", "a\x00b\u202e", "\ud800 broken", "👩‍👩‍👧"):
            question = a_question(text)
            assert cache.store(question, an_answer(f"About {len(text)} characters: {text[:40]}")) is None
            assert content_of(cache, question) == f"About {len(text)} characters: {text[:40]}"

    def test_very_long_texts_do_no_harm(self, cache: ResponseCache) -> None:
        """Whoever does not keep them says so, and finds nothing."""
        question = a_question("word " * 50_000)
        kept = cache.store(question, an_answer("About a very long text.")) is None
        found = cache.look_up(question)
        assert isinstance(found, CacheHit if kept else CacheMiss)
        cache.abandon(question)

    def test_nothing_of_the_message_comes_back(self, cache: ResponseCache) -> None:
        """Ids, signatures and provider state stay behind: a replayed answer is a new message."""
        block = {"type": "text", "text": "Here it is.", "id": "msg_1", "signature": "c2ln", "extras": {"encrypted_content": "x"}}
        assert cache.store(a_question(), an_answer((block,))) is None
        assert content_of(cache, a_question()) == ({"type": "text", "text": "Here it is."},)

    # Isolation.

    def test_nothing_crosses(self, cache: ResponseCache) -> None:
        """Tenants, scopes, tag classes, epochs, tools, system prompts, conversations: whatever differs, there is no hit."""
        for text in ("Where is my order?", "Wo ist meine Bestellung?"):
            asked = a_question(text)
            assert cache.store(asked, an_answer("For the one who asked.")) is None
            for way in WAYS:
                for name, changes in APART.items():
                    other = replace(asked, **changes)
                    found = look_up(way, cache, other)
                    cache.abandon(other)
                    assert isinstance(found, CacheMiss), f"{name}, {way}: {found}"
            assert content_of(cache, asked) == "For the one who asked."

    def test_nothing_crosses_back(self, cache: ResponseCache) -> None:
        """The same the other way round, and between any two of them."""
        kept = {name: changes for name, changes in APART.items() if cache.store(a_question(**changes), an_answer(name)) is None}
        assert len(kept) >= 15, f"no more than {sorted(kept)} were kept"  # noqa: PLR2004 -- most of them
        assert is_miss(cache, a_question())
        for name, changes in kept.items():
            assert content_of(cache, a_question(**changes)) == name

    @settings(
        max_examples=300,
        deadline=None,
        derandomize=True,
        database=None,
        report_multiple_bugs=False,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.differing_executors],
    )
    @given(
        of=st.lists(_CHANGE, max_size=2).map(dict),
        to=st.lists(_CHANGE, min_size=1, max_size=2).map(dict),
        text=st.sampled_from(["Where is my order?", "where is my order", "Please, where's my order?"]),
    )
    def test_nothing_crosses_by_a_little(self, cache: ResponseCache, of: dict[str, Any], to: dict[str, Any], text: str) -> None:
        """Values that read alike, one after the other, in another field, or cut off, are not equal."""
        # What earlier examples stored is there as well: each asks for another order, so that it fails, or not, by itself.
        order = f" {next(_NUMBERS)}"
        stored, asked = a_question("Where is my order?" + order, **of), a_question(text + order, **{**of, **to})
        cache.store(stored, an_answer(str(apart_by(stored))))
        found = cache.look_up(asked)
        if isinstance(found, CacheHit):
            assert found.answer.content == str(apart_by(asked)), f"{to} has the answer of {of}"
        else:
            cache.abandon(asked)

    def test_untrusted_content_stays_in_its_session(self, cache: ResponseCache) -> None:
        """What may be an attack on one session must not become an attack on all."""
        asked = a_question(tag=UNTRUSTED)
        if cache.store(asked, an_answer("Believe me.")) is None:
            assert content_of(cache, asked) == "Believe me."
        assert is_miss(cache, a_question(tag=UNTRUSTED, session="session-2"))
        assert is_miss(cache, a_question())
        unknown = a_question("Who am I?", tag=UNTRUSTED, session=None)
        assert cache.store(unknown, an_answer("Nobody.")) is not None
        assert is_miss(cache, unknown)

    def test_another_embedder_finds_nothing(self, cache: ResponseCache) -> None:
        """What one embedder holds for near may be far for another."""
        assert cache.store(a_question(), an_answer()) is None
        other = self.with_another_embedder(cache)
        assert is_miss(other, a_question())
        assert other.store(a_question(), an_answer("From the other.")) is None
        assert content_of(cache, a_question()) == "It is on its way."
        assert content_of(other, a_question()) == "From the other."

    def test_reader_must_be_cleared(self, cache: ResponseCache) -> None:
        """A hit is a read: who may not see what went in does not get what came out."""
        answer = an_answer(tag=Tag(expires_at=NOW + HOUR))
        assert cache.store(a_question(), answer) is None
        hit = cache.look_up(a_question())
        assert isinstance(hit, CacheHit)
        assert hit.answer.tag.expires_at == NOW + HOUR, "the tag of what went in is lost"
        past = Clearance(attested_until=NOW - 1)
        for reader in (None, past, replace(READER, tenants=frozenset({"globex"}), purposes=frozenset({"other"}))):
            assert is_miss(cache, a_question(reader=reader)), reader
        assert isinstance(cache.look_up(a_question()), CacheHit)

    # What is never kept.

    def test_what_is_never_kept(self, cache: ResponseCache) -> None:
        """Tool calls, what came from tools, broken streams, cut-off answers, and what may not be kept."""
        for way in WAYS:
            for name, answer in UNKEPT.items():
                question = a_question(f"What about {name} and {way}?")
                assert store(way, cache, question, answer) is not None, name
                assert is_miss(cache, question), name

    def test_questions_about_the_moment_are_not_answered_again(self, cache: ResponseCache) -> None:
        """An answer about today is wrong tomorrow."""
        question = a_question("What is the weather like today?")
        assert cache.store(question, an_answer("It rains.")) is not None
        assert is_miss(cache, question)

    # Life.

    def test_entries_expire(self, cache: ResponseCache) -> None:
        """By their own end and by that of their tag, whichever comes first."""
        for number, answer in enumerate(
            (
                an_answer(expires_at=NOW + 60),
                an_answer(tag=Tag(expires_at=NOW + 60)),
                an_answer(expires_at=NOW + 60, tag=Tag(expires_at=NOW + 600)),
            )
        ):
            for way in WAYS:
                question = a_question(f"What is number {number}, {way}?")
                assert cache.store(question, answer) is None
                assert isinstance(look_up(way, cache, replace(question, now=NOW + 59)), CacheHit)
                for now in (NOW + 60, float("nan"), NOW + 61):
                    assert isinstance(look_up(way, cache, replace(question, now=now)), CacheMiss), now
                    cache.abandon(question)

    def test_erasure_removes_what_is_about_a_subject(self, cache: ResponseCache) -> None:
        """All of it, and nothing else."""
        for subject in ("s1", "s2"):
            for number in range(3):
                question = a_question(
                    f"What is {subject}{number}?", tag=Tag(subjects=frozenset({subject, "both"} if number == 0 else {subject}))
                )
                assert cache.store(question, an_answer(subject)) is None
        assert cache.erase("s1", now=NOW) == 3  # noqa: PLR2004 -- as many as were stored
        assert cache.erase("s1", now=NOW) == 0
        for number in range(3):
            tag = Tag(subjects=frozenset({"s1", "both"} if number == 0 else {"s1"}))
            assert is_miss(cache, a_question(f"What is s1{number}?", tag=tag))
        assert content_of(cache, a_question("What is s20?", tag=Tag(subjects=frozenset({"s2", "both"})))) == "s2"
        assert asyncio.run(cache.aerase("both", now=NOW)) == 1
        assert is_miss(cache, a_question("What is s20?", tag=Tag(subjects=frozenset({"s2", "both"}))))
        assert content_of(cache, a_question("What is s21?", tag=Tag(subjects=frozenset({"s2"})))) == "s2"

    def test_erasure_stops_writers_in_flight(self, cache: ResponseCache) -> None:
        """Who asked before the erasure, and has the answer after it, must not bring it back."""
        for way in WAYS:
            subject = f"subject-{way}"
            question = a_question(f"Who is {way}?", tag=Tag(subjects=frozenset({subject})))
            by_answer = a_question(f"Who knows {way}?")
            assert isinstance(look_up(way, cache, question), CacheMiss)
            assert isinstance(look_up(way, cache, by_answer), CacheMiss)
            assert cache.erase(subject, now=NOW + 10) == 0
            assert store(way, cache, question, an_answer()) is not None
            assert store(way, cache, by_answer, an_answer(tag=Tag(subjects=frozenset({subject})))) is not None
            assert is_miss(cache, question)
            assert is_miss(cache, by_answer)
            later = replace(question, now=NOW + HOUR)
            assert store(way, cache, later, an_answer("Told anew.", at=NOW + HOUR)) is None
            assert content_of(cache, later) == "Told anew."

    def test_vetoed_entry_is_served_no_more(self, cache: ResponseCache) -> None:
        """Somebody said that it was wrong; the others stay, and a new answer counts."""
        for way in WAYS:
            wrong, right = a_question(f"What is wrong, {way}?"), a_question(f"What is right, {way}?")
            for question in (wrong, right):
                assert cache.store(question, an_answer(question.text)) is None
            hit = look_up(way, cache, wrong)
            assert isinstance(hit, CacheHit)
            if way == "async":
                asyncio.run(cache.aveto(hit))
            else:
                cache.veto(hit)
            cache.veto(hit)  # said twice
            assert is_miss(cache, wrong)
            assert content_of(cache, right) == right.text
            assert cache.store(wrong, an_answer("Better.")) is None
            assert content_of(cache, wrong) == "Better."

    def test_altered_entries_are_evicted_and_counted(self, cache: ResponseCache) -> None:
        """Whoever can write to the storage cannot put words into a model's mouth."""
        questions = [a_question(f"What is number {number}?") for number in range(4)]
        for question in questions:
            assert cache.store(question, an_answer(question.text)) is None
        self.tamper(cache)
        for question in questions:
            assert is_miss(cache, question)
        assert self.tampered(cache) == len(questions)
        for question in questions:
            assert is_miss(cache, question)
        assert self.tampered(cache) == len(questions), "an evicted entry came back"
        assert cache.store(questions[0], an_answer("Anew.")) is None
        assert content_of(cache, questions[0]) == "Anew."
