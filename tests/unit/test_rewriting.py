"""A rewriter is asked in its time, and harms nobody: it answers, or the question stays as it is."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from session_router import Policy, Tag
from session_router.cache.semantic import SemanticCache
from session_router.core.cache_terms import CacheRules, CacheTerms, Sharing
from session_router.core.governance import Clearance, Integrity
from session_router.core.rewritten import Conversation, Rewritten
from session_router.errors import ConfigurationError
from session_router.rewriting import AT_ONCE, Rewriting
from session_router.testing.cached import an_answer, digest
from values import ai, call_of, human, router, specs

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from session_router.core.decision import Decision
    from session_router.router import Router

SAID = (("human", "How is the museum in Rome?"), ("ai", "Fine."), ("human", "And in Oslo?"))
ALONE = "How is the museum in Oslo?"


@dataclass
class Rewrites:
    """Answers with what `says` returns."""

    says: Callable[[Sequence[tuple[str, str]]], Any] = lambda said: f"In the light of {len(said)} texts: {said[-1][1]}"
    version: Any = "1"
    seconds: Any = 30.0
    asked: list[Any] = field(default_factory=list)

    def rewrite(self, conversation: Sequence[tuple[str, str]]) -> Any:
        self.asked.append(conversation)
        return self.says(conversation)

    async def arewrite(self, conversation: Sequence[tuple[str, str]]) -> Any:
        await asyncio.sleep(0)
        return self.rewrite(conversation)


async def ask(way: str, rewriter: Any) -> Rewritten | None:
    return Rewriting(rewriter).ask(SAID) if way == "sync" else await Rewriting(rewriter).aask(SAID)


@pytest.mark.parametrize("way", ["sync", "async"])
async def test_what_it_says_comes_back_with_its_version(way: str) -> None:
    rewriter = Rewrites(lambda _: ALONE)
    assert await ask(way, rewriter) == Rewritten(text=ALONE, version="1")
    assert rewriter.asked == [SAID]


@pytest.mark.parametrize("way", ["sync", "async"])
@pytest.mark.parametrize("said", [None, "", " \n", 7, ["text"], b"text"])
async def test_what_is_no_question_is_none(way: str, said: Any) -> None:
    assert await ask(way, Rewrites(lambda _: said)) is None


class Failing(Rewrites):
    def rewrite(self, conversation: Any) -> Any:
        del conversation
        raise self.says  # type: ignore[misc]


@pytest.mark.parametrize("way", ["sync", "async"])
async def test_its_errors_come_up(way: str) -> None:
    with pytest.raises(ValueError, match="mine"):
        await ask(way, Failing(ValueError("mine")))  # type: ignore[arg-type]


async def test_what_would_end_a_program_or_a_task_is_an_error_like_others() -> None:
    with pytest.raises(RuntimeError, match="SystemExit"):
        await ask("sync", Failing(SystemExit()))  # type: ignore[arg-type]
    with pytest.raises(RuntimeError, match="cancelled itself"):
        await ask("async", Failing(asyncio.CancelledError()))  # type: ignore[arg-type]


class Hanging(Rewrites):
    """Comes back when it is let go, and not when it is cancelled."""

    def __init__(self) -> None:
        super().__init__(seconds=0.01)
        self.free = threading.Event()
        self.afree = asyncio.Event()

    def rewrite(self, conversation: Any) -> Any:
        del conversation
        self.free.wait()
        return ALONE

    async def arewrite(self, conversation: Any) -> Any:
        del conversation
        while not self.afree.is_set():
            try:
                await self.afree.wait()
            except asyncio.CancelledError:
                continue
        return ALONE


@pytest.mark.parametrize("way", ["sync", "async"])
async def test_what_is_late_is_left_alone(way: str) -> None:
    rewriter = Hanging()
    try:
        with pytest.raises(TimeoutError):
            await ask(way, rewriter)
    finally:
        rewriter.free.set()
        rewriter.afree.set()


def test_a_rewriter_that_hangs_does_not_fill_the_process() -> None:
    rewriter = Hanging()
    rewriting = Rewriting(rewriter)
    try:
        before = threading.active_count()
        for _ in range(AT_ONCE + 5):
            with pytest.raises(TimeoutError):
                rewriting.ask(SAID)
        assert threading.active_count() <= before + AT_ONCE
    finally:
        rewriter.free.set()


async def test_whoever_is_cancelled_leaves_nothing_behind() -> None:
    begun, gone = asyncio.Event(), asyncio.Event()

    class Waits(Rewrites):
        async def arewrite(self, conversation: Any) -> Any:
            del conversation
            begun.set()
            try:
                await asyncio.Event().wait()
            finally:
                gone.set()

    task = asyncio.create_task(Rewriting(Waits()).aask(SAID))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await gone.wait()


async def test_the_event_loop_goes_on_meanwhile() -> None:
    """What the rewriter waits for is done on the same loop."""
    turn = asyncio.Event()

    class Waits(Rewrites):
        async def arewrite(self, conversation: Any) -> Any:
            del conversation
            await turn.wait()
            return ALONE

    async def other() -> None:
        turn.set()

    rewritten, _ = await asyncio.gather(Rewriting(Waits()).aask(SAID), other())
    assert rewritten is not None


@pytest.mark.parametrize(
    ("rewriter", "key"),
    [
        (object(), "rewriter"),
        (Rewrites(version=""), "rewriter.version"),
        (Rewrites(version=7), "rewriter.version"),
        (Rewrites(seconds=0), "rewriter.seconds"),
        (Rewrites(seconds=float("nan")), "rewriter.seconds"),
        (Rewrites(seconds=61), "rewriter.seconds"),
        (Rewrites(seconds=None), "rewriter.seconds"),
    ],
)
def test_what_is_no_rewriter_is_refused(rewriter: Any, key: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        router(rewriter=rewriter)
    assert refused.value.key == key


# In the flow.

POLICY = Policy(stake=1.0, cache=CacheRules(sharing=Sharing.TENANT, reader=Clearance()))


def terms(before: str = "Rome", *, standing: str = "kind", **fields: Any) -> CacheTerms:
    same = {name: digest(name) for name in ("system", "tools", "settings")}
    said = (("human", f"How is the museum in {before}?"), ("ai", "Fine."), ("human", "And in Oslo?"))
    return CacheTerms(
        **{
            "text": said[-1][1],
            "before": digest(before),
            **same,
            "conversation": Conversation(said=said, standing=digest(standing)),
            **fields,
        }
    )


async def decided(way: str, subject: Router, terms: CacheTerms, **fields: Any) -> Decision:
    call = call_of(human(), ai(), human(terms.text), terms=terms, **fields)
    decision = subject.route(call) if way == "sync" else await subject.aroute(call)
    if decision.asked is not None:
        subject.keep(decision, an_answer(at=1000.0))
    return decision


WAYS = ("sync", "async")


@pytest.mark.parametrize("way", WAYS)
async def test_conversations_that_become_one_question_share_its_answer(way: str) -> None:
    subject = router(policy=POLICY, cache=SemanticCache(), rewriter=Rewrites(lambda _: ALONE))
    first, second = [await decided(way, subject, terms(before)) for before in ("Rome", "Paris")]
    assert first.asked is not None
    assert first.asked.text == ALONE
    assert second.hit is not None


@pytest.mark.parametrize("way", WAYS)
async def test_conversations_that_become_different_questions_never_meet(way: str) -> None:
    subject = router(policy=POLICY, cache=SemanticCache(), rewriter=Rewrites(lambda said: f"And in Oslo, after {said[0][1]}"))
    for before in ("Rome", "Paris", "Lima"):
        assert (await decided(way, subject, terms(before))).hit is None
    assert (await decided(way, subject, terms("Paris"))).hit is not None


@pytest.mark.parametrize("way", WAYS)
async def test_without_one_everything_before_must_be_equal(way: str) -> None:
    subject = router(policy=POLICY, cache=SemanticCache())
    assert subject.rewriter is None
    hits = [(await decided(way, subject, terms(before))).hit is not None for before in ("Rome", "Paris", "Rome")]
    assert hits == [False, False, True]


def fails(said: Any) -> Any:
    raise ValueError(said)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("rewriter", [Rewrites(lambda _: None), Rewrites(fails), Hanging], ids=["none", "raises", "late"])
async def test_a_broken_one_costs_nothing(way: str, rewriter: Any, caplog: pytest.LogCaptureFixture) -> None:
    rewriter = rewriter() if isinstance(rewriter, type) else rewriter
    subject = router(policy=POLICY, cache=SemanticCache(), rewriter=rewriter)
    try:
        decisions = [await decided(way, subject, terms(before)) for before in ("Rome", "Paris", "Rome")]
    finally:
        if isinstance(rewriter, Hanging):
            rewriter.free.set()
            rewriter.afree.set()
    assert [one.hit is not None for one in decisions] == [False, False, True]
    assert decisions[0].asked is not None
    assert decisions[0].asked.before == terms("Rome").before
    assert "Oslo" not in caplog.text


@pytest.mark.parametrize(
    "other",
    [
        terms("Paris", standing="like a pirate"),
        terms("Paris", system=digest("other")),
        terms("Paris", tools=digest("other")),
        terms("Paris", settings=digest("other")),
        terms("Paris", tenant="globex"),
        terms("nothing", text=ALONE, conversation=None),
    ],
    ids=["another prompt among the messages", "prompt", "tools", "settings", "tenant", "a question that begins a conversation"],
)
@pytest.mark.parametrize("order", [1, -1])
async def test_what_must_be_equal_besides_must_be_equal_still(other: CacheTerms, order: int) -> None:
    subject = router(policy=POLICY, cache=SemanticCache(), rewriter=Rewrites(lambda _: ALONE))
    for one in (terms("Rome"), other)[::order]:
        assert (await decided("sync", subject, one)).hit is None


async def test_another_version_finds_nothing() -> None:
    cache = SemanticCache()
    for version in ("1", "2"):
        subject = router(policy=POLICY, cache=cache, rewriter=Rewrites(lambda _: ALONE, version=version))
        assert (await decided("sync", subject, terms("Rome"))).hit is None


@pytest.mark.parametrize("way", WAYS)
async def test_it_is_shown_nothing_untrusted_and_asked_for_nobody(way: str) -> None:
    rewriter = Rewrites()
    subject = router(policy=POLICY, cache=SemanticCache(), rewriter=rewriter)
    subject_of_all = router(policy=Policy(stake=1.0), cache=SemanticCache(), rewriter=rewriter)
    await decided(way, subject, terms(conversation=None))
    # Each principal has its own answers, and nobody is named.
    await decided(way, subject_of_all, terms())
    await decided(way, router(policy=POLICY, rewriter=rewriter), terms())
    assert rewriter.asked == []
    await decided(way, subject, terms())
    assert len(rewriter.asked) == 1


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("integrity", "asked"), [(Integrity.TRUSTED, 1), (Integrity.UNTRUSTED, 0)])
async def test_untrusted_content_is_rewritten_by_nobody(way: str, integrity: Integrity, asked: int) -> None:
    rewriter = Rewrites()
    subject = router(specs(clearance=Clearance(trains=False)), policy=POLICY, cache=SemanticCache(), rewriter=rewriter)
    tag = Tag(integrity=integrity)
    call = call_of(human(tag=tag), ai(tag=tag), human("more", tag=tag), terms=terms(), tag=tag)
    decision = subject.route(call) if way == "sync" else await subject.aroute(call)
    assert not decision.refused
    assert len(rewriter.asked) == asked
