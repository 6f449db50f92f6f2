"""What observers may see, and that they change nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from session_router.core.need import Question
from session_router.identity import SessionNames, name_thread, thread_of
from values import SESSION, answered, call_of, human, router

if TYPE_CHECKING:
    from session_router import Call, Decision, Outcome


class Watch:
    """Sees everything, in order."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, object]] = []

    def on_call(self, call: Call) -> None:
        self.seen.append(("call", call))

    def on_decision(self, decision: Decision) -> None:
        self.seen.append(("decision", decision.id))

    def on_outcome(self, decision: Decision, outcome: Outcome) -> None:
        del outcome
        self.seen.append(("outcome", decision.id))


class Broken(Watch):
    """Fails at everything."""

    def on_call(self, call: Call) -> None:
        raise LookupError(call.session)

    def on_decision(self, decision: Decision) -> None:
        raise LookupError(decision.id)


class Late:
    """Sees what observers must see, and no more."""

    def __init__(self) -> None:
        self.decisions = 0

    def on_decision(self, decision: Decision) -> None:
        del decision
        self.decisions += 1

    def on_outcome(self, decision: Decision, outcome: Outcome) -> None:
        """Nothing to do."""


class Telling:
    """A scorer that fails, and says what it was asked."""

    def score(self, question: Any, models: object) -> Any:
        del models
        raise ValueError(question.text)

    async def ascore(self, question: Any, models: object) -> Any:
        return self.score(question, models)


@pytest.mark.parametrize("way", ["sync", "async"])
async def test_what_was_asked_is_in_no_log_when_a_scorer_fails(caplog: pytest.LogCaptureFixture, way: str) -> None:
    one = router(scorer=Telling())
    call = replace(call_of(human("a")), question=Question(text="CANARY-7", turn=1))
    with caplog.at_level("INFO"):
        decision = one.route(call) if way == "sync" else await one.aroute(call)
    assert not decision.refused
    assert "ScoreNeed failed" in caplog.text
    assert "CANARY-7" not in caplog.text


class TellingObserver(Watch):
    """An observer that fails, and says what it was shown."""

    def on_call(self, call: Call) -> None:
        raise ValueError(call.question.text)


@pytest.mark.parametrize("way", ["sync", "async"])
async def test_what_was_asked_is_in_no_log_when_an_observer_fails(caplog: pytest.LogCaptureFixture, way: str) -> None:
    one = router(observers=[TellingObserver()])
    call = replace(call_of(human("a")), question=Question(text="CANARY-7", turn=1))
    with caplog.at_level("DEBUG"):
        decision = one.route(call) if way == "sync" else await one.aroute(call)
    assert not decision.refused
    assert "observer TellingObserver failed on on_call (ValueError)" in caplog.text
    assert "CANARY-7" not in caplog.text


async def test_a_call_is_seen_before_its_decision() -> None:
    watch, late = Watch(), Late()
    one = router(observers=[Broken(), watch, late])
    call = call_of(human("a"))
    decision = one.route(call)
    one.observe(decision, answered("fast"))
    again = await one.aroute(call_of(human("a"), now=2_000.0))
    assert [name for name, _ in watch.seen] == ["call", "decision", "outcome", "call", "decision"]
    assert watch.seen[0] == ("call", call)
    assert watch.seen[-1] == ("decision", again.id)
    assert late.decisions == 2


@pytest.mark.parametrize(
    ("session", "thread", "asked", "told"),
    [
        (SESSION, "customer-17", SESSION, "customer-17"),
        (SESSION, "customer-17", "another", None),
        (SESSION, None, SESSION, None),
        (None, "customer-17", None, None),
    ],
)
def test_a_thread_is_told_of_its_own_session_only(session: str | None, thread: str | None, asked: str | None, told: str | None) -> None:
    name_thread(session, SessionNames(thread=thread))  # type: ignore[arg-type]
    assert thread_of(asked) == told  # type: ignore[arg-type]
