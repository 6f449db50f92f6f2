"""Every recorded session, replayed: does the router ever switch where the oracle says that it is unsafe?

Before each assistant message the router is asked with the messages that precede it; the recorded message then counts as
written by the model it chose. Tokens are estimated as characters / 4, prices are assumed: what is measured here is where the
model changes, not what it costs.
"""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import json
import random
import sys
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from _figure import SHARED, figure, is_quick, missing, say
from _provider_errors import provider_errors

from oracle.reader import step_of
from oracle.verdict import danger
from session_router.core.call import Call, Outcome
from session_router.core.model import ModelName, ModelSpec
from session_router.core.need import Need, Question
from session_router.core.policy import Policy
from session_router.core.pricing import Prices
from session_router.core.session import SessionId
from session_router.core.transcript import Transcript
from session_router.router import Router

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping

    from session_router.core.decision import Decision

MODELS = {
    ModelName("fast"): ModelSpec(model="assumed", prices=Prices(input=0.25, output=2.0, cached_input=0.025)),
    ModelName("middle"): ModelSpec(model="assumed", prices=Prices(input=1.25, output=10.0, cached_input=0.125)),
    ModelName("strong"): ModelSpec(model="assumed", prices=Prices(input=5.0, output=25.0, cached_input=0.5)),
}
SEED = 20_260
QUICK_STRIDE = 8
SECONDS_BETWEEN_CALLS = 20.0
OVERWHELMING = 1_000.0  # a stake in dollars at which only the scorer's word counts
STAKE = 0.05  # dollars at which the lexical scorer changes its mind between turns
KEY = b"k" * 32
FILES = "data/sessions_*.jsonl.gz"
FIGURES = [
    "sessions",
    "calls",
    "locked_calls",
    "switches",
    "unsafe_switches",
    "switches_adversarial",
    "unsafe_switches_adversarial",
    "unsafe_switches_without_locks",
    "over_locked",
    "missed_locks",
    "decisions_that_differ_twice",
    "decisions_that_differ_async",
    "humans_after_results",
]


class Restless:
    """A scorer that is sure of another model at every call: seeded, and told by the replay which one."""

    def __init__(self) -> None:
        self.wants = ModelName("fast")

    def score(self, question: Question, models: Mapping[ModelName, ModelSpec]) -> Mapping[ModelName, Need]:
        """Return certainty for one model, and certain failure for all others."""
        del question
        return {name: Need(p_success=1.0 if name == self.wants else 0.0) for name in models}

    async def ascore(self, question: Question, models: Mapping[ModelName, ModelSpec]) -> Mapping[ModelName, Need]:
        """Return the same."""
        return self.score(question, models)


@dataclass(frozen=True, slots=True)
class Recorded:
    """One session, and where the oracle says that a switch before an assistant message is unsafe."""

    name: str
    source: str
    messages: list[dict[str, Any]]
    dangers: dict[int, str | None]


@dataclass
class Count:
    """What one router did to all sessions."""

    calls: int = 0
    locked: int = 0
    switches: int = 0
    unsafe: int = 0
    over_locked: int = 0
    missed: int = 0
    unsafe_where: Counter[str] = field(default_factory=Counter)

    def add(self, chosen: str | None, before: str | None, danger_: str | None, *, locked: bool) -> None:
        """Count one call: who was chosen, who wrote the assistant message before, and whether a switch was unsafe."""
        self.calls += 1
        self.locked += locked
        self.over_locked += locked and danger_ is None
        self.missed += not locked and danger_ is not None
        if before is not None and chosen != before:
            self.switches += 1
            if danger_ is not None:
                self.unsafe += 1
                self.unsafe_where[danger_] += 1


def recorded(path: Path, stride: int) -> Iterator[Recorded]:
    """Read every `stride`-th session of a file."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for number, line in enumerate(lines):
            if number % stride == 0:
                row = json.loads(line)
                messages = row["messages"]
                calls = [index for index, message in enumerate(messages) if message["role"] == "assistant"]
                yield Recorded(row["session_id"], path.name, messages, {index: danger(messages[:index]) for index in calls})


def replay(session: Recorded, restless: Restless | None) -> Generator[Call, Decision, list[tuple[Decision, str | None, str | None]]]:
    """Yield a call before each assistant message; send its decision back.

    Returns:
        For each call the decision, the author of the assistant message before it, and the oracle's verdict.
    """
    identity = SessionId(hashlib.sha256(f"{session.source} {session.name}".encode()).hexdigest())
    chance = random.Random(f"{SEED} {identity}")
    transcript, before, text = Transcript(), None, ""
    rows: list[tuple[Decision, str | None, str | None]] = []
    for index, message in enumerate(session.messages):
        step = step_of(message)
        if message["role"] == "user":
            text = str(message.get("content") or "")
        if index in session.dangers:
            if restless is not None:
                restless.wants = chance.choice([name for name in MODELS if name != before])
            now = SECONDS_BETWEEN_CALLS * index
            question = Question(text=text, turn=transcript.turn)
            decision = yield Call(transcript=transcript, question=question, now=now, session=identity)
            rows.append((decision, before, session.dangers[index]))
            before = decision.chosen()
            step = replace(step, author=before)
        transcript = transcript.extended([step])
    return rows


def replayed(session: Recorded, router: Router, restless: Restless | None = None) -> list[tuple[Decision, str | None, str | None]]:
    """Replay with the sync driver."""
    asking = replay(session, restless)
    try:
        call = next(asking)
        while True:
            decision = router.route(call)
            router.observe(decision, _outcome(decision))
            call = asking.send(decision)
    except StopIteration as stop:
        rows: list[tuple[Decision, str | None, str | None]] = stop.value
        return rows


async def areplayed(session: Recorded, router: Router, restless: Restless | None = None) -> list[tuple[Decision, str | None, str | None]]:
    """Replay with the async driver."""
    asking = replay(session, restless)
    try:
        call = next(asking)
        while True:
            decision = await router.aroute(call)
            await router.aobserve(decision, _outcome(decision))
            call = asking.send(decision)
    except StopIteration as stop:
        rows: list[tuple[Decision, str | None, str | None]] = stop.value
        return rows


def _outcome(decision: Decision) -> Outcome:
    # What the answer waits for is not told: the locks must come from the history alone.
    return Outcome(at=decision.at + 1, model=decision.model)


def single_turn(session: Recorded, count: Count) -> None:
    """Route every call by the same adversarial scorer with no locks."""
    restless = Restless()
    identity = hashlib.sha256(f"{session.source} {session.name}".encode()).hexdigest()
    chance = random.Random(f"{SEED} {identity}")
    before: ModelName | None = None
    for danger_ in session.dangers.values():
        restless.wants = chance.choice([name for name in MODELS if name != before])
        needs = restless.score(Question(text=""), MODELS)
        chosen = max(MODELS, key=lambda name: needs[name].p_success)
        count.add(chosen, before, danger_, locked=False)
        before = chosen


def differences(one: list[tuple[Decision, str | None, str | None]], other: list[tuple[Decision, str | None, str | None]]) -> int:
    """Count the calls on which two replays disagree, in any part of the decision."""
    return sum(left[0] != right[0] for left, right in zip(one, other, strict=True))


def replays(*, quick: bool) -> None:
    """Replay every file and print the figures."""
    files = sorted(SHARED.glob(FILES))
    if not files:
        missing(FIGURES, f"../shared/{FILES} is not there")
    asked, adversarial, naive = Count(), Count(), Count()
    twice = in_async = spoken_over = 0
    sources: Counter[str] = Counter()
    loop = asyncio.new_event_loop()
    for path in files:
        # A router of its own for each replay: nothing is shared but the settings.
        restless = Restless()
        first, second, third = (Router(MODELS, policy=Policy(stake=STAKE), key=KEY) for _ in range(3))
        pushed, pushed_async = (Router(MODELS, policy=Policy(stake=OVERWHELMING), scorer=restless, key=KEY) for _ in range(2))
        for session in recorded(path, QUICK_STRIDE if quick else 1):
            sources[path.name] += 1
            spoken_over += _spoken_over(session)
            rows, wild = replayed(session, first), replayed(session, pushed, restless)
            twice += differences(rows, replayed(session, second))
            in_async += differences(rows, loop.run_until_complete(areplayed(session, third)))
            in_async += differences(wild, loop.run_until_complete(areplayed(session, pushed_async, restless)))
            for count, made in ((asked, rows), (adversarial, wild)):
                for decision, before, danger_ in made:
                    count.add(decision.model, before, danger_, locked=decision.lock is not None)
            single_turn(session, naive)
        say(f"{path.name}: {sources[path.name]:,} sessions; so far {asked.calls:,} calls, {asked.locked:,} locked")
    loop.close()
    say(f"lexical scorer     {asked.switches:>7,} switches, {asked.unsafe:>6,} unsafe")
    say(f"adversarial scorer {adversarial.switches:>7,} switches, {adversarial.unsafe:>6,} unsafe")
    say(f"without locks      {naive.switches:>7,} switches, {naive.unsafe:>6,} unsafe: {dict(naive.unsafe_where)}")
    n, total = asked.calls, sources.total()
    figure("sessions", total, unit="count", n=total, note=f"{f'every {QUICK_STRIDE}th' if quick else 'every'} session: {dict(sources)}")
    _print_counts(asked, adversarial, naive)
    figure("decisions_that_differ_twice", twice, unit="count", n=n, target="== 0")
    figure("decisions_that_differ_async", in_async, unit="count", n=2 * n, target="== 0")
    note = "a human spoke after results that no model had read: a new turn in the lock table, for the router and for the oracle"
    figure("humans_after_results", spoken_over, unit="count", n=n, note=note)


def _print_counts(asked: Count, adversarial: Count, naive: Count) -> None:
    n, peer = asked.calls, {"without_locks": float(naive.unsafe)}
    figure("calls", n, unit="count", n=n)
    figure("locked_calls", asked.locked, unit="count", n=n)
    figure("switches", asked.switches, unit="count", n=n, target="> 0", note=f"lexical scorer, stake {STAKE} dollars, prices assumed")
    figure("unsafe_switches", asked.unsafe, unit="count", n=n, target="== 0", note="by an oracle that shares no code with the router")
    note = "a scorer that wants another model at every call"
    pushed: dict[str, float | None] = {"without_locks": naive.switches}
    figure("switches_adversarial", adversarial.switches, unit="count", n=n, target="> 0", peer=pushed, note=note)
    figure("unsafe_switches_adversarial", adversarial.unsafe, unit="count", n=n, target="== 0", peer={**peer}, note=note)
    note = "the same scorer asked at every call, as single-turn routing does: the check bites"
    figure("unsafe_switches_without_locks", naive.unsafe, unit="count", n=n, target="> 0", note=note)
    both = (asked, adversarial)
    note = "the router says locked, the oracle says free; both scorers"
    figure("over_locked", sum(count.over_locked for count in both), unit="count", n=2 * n, target="== 0", note=note)
    note = "the router says free, the oracle says locked; both scorers"
    figure("missed_locks", sum(count.missed for count in both), unit="count", n=2 * n, target="== 0", note=note)


def _spoken_over(session: Recorded) -> int:
    roles = [message["role"] for message in session.messages]
    return sum(roles[index - 2 : index] == ["tool", "user"] for index in session.dangers if index > 1)


PARTS: tuple[Callable[..., None], ...] = (replays, provider_errors)
"""Each takes `quick` and prints its figures."""


if __name__ == "__main__":
    quick = is_quick(__doc__, means="every eighth session")
    for part in PARTS:
        part(quick=quick)
