"""How long the optimum of a long session takes: 200 calls, 4 models.

Usage: `python tests/benchmarks/optimum.py [--quick]`; `--quick` takes one session of each kind.

What is timed is all that follows the replay: the price of each call on each model, and the search. Seconds are of the processor.
Sessions are made up, from fixed seeds. A session whose turns are of one call has a boundary at every call: no session of 200
calls leaves more to choose.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from hashlib import blake2b
from itertools import pairwise
from pathlib import Path
from random import Random
from time import process_time
from typing import TYPE_CHECKING, TypeAlias

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks._figure import SHARED, figure, is_quick, missing, say
from benchmarks._regret_sources import prices_of, specs_of
from session_router import ModelSpec, Policy, Prices, Router
from session_router.core.model import ModelName
from session_router.core.need import Need, Question
from session_router.core.prefix import PromptCache
from session_router.core.step import Ask, Role, Step
from session_router.recordings import RecordedMessage, Recording
from session_router.regret import Hindsight, SessionCosts, Terms
from session_router.replay import replay_session

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from session_router.replay import ReplayedCall

CALLS = 200
SEEDS = (0, 1, 2)

ROUTES = {
    "four tiers": ("gpt-4.1-nano", "gpt-4.1-mini", "gpt-4.1", "gpt-5-chat-latest"),
    "four strong models": ("gpt-4o", "gpt-4.1", "gpt-5-chat-latest", "gemini-2.5-pro"),
    "four cheap models": ("gpt-4o-mini", "gemini-2.5-flash", "mistral-medium", "gpt-5-mini"),
}
"""Names of models in `prices.json`."""

LOOPS = {"turns of one call": (1,), "turns of 1 to 6 calls": (1, 2, 3, 4, 6)}
STAKES = (0.01, 0.2, 0.5, 1.0)

NEAR = {"a": 1.0, "b": 1.05, "c": 1.1, "d": 1.15}
"""The hard case: four models, and their prices over those of the first."""

NEAR_PRICES = Prices(input=2.0, output=8.0, cached_input=0.2)
HARD_STAKES = (0.001, 0.003, 0.01, 0.02, 0.03)
KEPT = {"cached for an hour": (3600, 3600, 3600, 3600), "cached for 150 s": (150, 150, 150, 150), "cached unequally": (3600, 600, 300, 150)}
"""Seconds for which each of them finds cached what it read. A session of one call a turn has 25 between two calls."""

SECONDS, HARD = "optimum_seconds", "optimum_seconds_hard_case"

Specs: TypeAlias = "Mapping[ModelName, ModelSpec]"


class Unsure:
    """A scorer that does not know. What it says is not charged."""

    def score(self, question: Question, models: Mapping[ModelName, ModelSpec]) -> Mapping[ModelName, Need]:
        """Return the same need of every model in `models`."""
        del question
        return dict.fromkeys(models, Need(p_success=0.5))

    async def ascore(self, question: Question, models: Mapping[ModelName, ModelSpec]) -> Mapping[ModelName, Need]:
        """Return the same need of every model in `models`."""
        return self.score(question, models)


@dataclass(frozen=True, slots=True, kw_only=True)
class LongSession:
    """A session whose optimum is looked for.

    Attributes:
        name: Says what it is.
        router: Its router.
        calls: Its calls.
        chances: By turn, from 1, each model's chance to serve it well; in the first place those of no turn.
    """

    name: str
    router: Router
    calls: Sequence[ReplayedCall]
    chances: Sequence[Mapping[ModelName, float]]

    def costs(self) -> SessionCosts:
        """Return its costs, none of which is computed yet."""
        return SessionCosts(self.calls, self.router, lambda one: self.chances[one.decision.turn])


@dataclass(frozen=True, slots=True, kw_only=True)
class Solved:
    """What one optimum took.

    Attributes:
        name: Says of which session, at which stake.
        seconds: Of the processor.
        states: States that the search kept.
        runs: Places at which there was something to choose.
        switches: Of the optimum.
    """

    name: str
    seconds: float
    states: int
    runs: int
    switches: int


def solve(session: LongSession, stake: float) -> Solved:
    """Find the optimum of a session, and time it."""
    started = process_time()
    path = Hindsight(session.costs()).path(Terms(stake=stake))
    seconds = process_time() - started
    chosen = path.choices
    return Solved(
        name=f"{session.name}, stake {stake:g}",
        seconds=seconds,
        states=path.states,
        runs=len(chosen),
        switches=sum(name != before for before, name in pairwise(chosen)),
    )


def recording_of(random: Random, loops: Sequence[int], name: str) -> Recording:
    """Make up a session of `CALLS` calls.

    Args:
        random: Where lengths come from.
        loops: Calls of a turn: one of these.
        name: Of the session.
    """

    def message(role: Role, tokens: int, *, asks: str = "", answers: str = "") -> RecordedMessage:
        digest = blake2b(f"{name}.{len(messages)}".encode(), digest_size=16).digest()
        asked = (Ask(id=asks),) if asks else ()
        return RecordedMessage(step=Step(role=role, digest=digest, tokens=tokens, asks=asked, answers=(answers,) if answers else ()))

    messages: list[RecordedMessage] = []
    messages.append(message(Role.SYSTEM, 3000))
    made = 0
    while made < CALLS:
        messages.append(message(Role.HUMAN, random.randint(20, 200)))
        last = min(made + random.choice(loops), CALLS) - 1
        for call in range(made, last + 1):
            messages.append(message(Role.AI, random.randint(20, 300), asks=f"{call}" if call < last else ""))
            if call < last:
                messages.append(message(Role.TOOL, random.randint(50, 1000), answers=f"{call}"))
        made = last + 1
    return Recording(session_id=name, messages=tuple(messages))


def long_session(name: str, specs: Specs, loops: Sequence[int], seed: int, *, ranked: bool) -> LongSession:
    """Make up a session and its chances.

    Args:
        name: Says what it is.
        specs: The routes.
        loops: Calls of a turn: one of these.
        seed: Of what is random.
        ranked: Whether what costs more serves better: of a turn that is hard for one model, only a dearer one may make more.
            Otherwise chances have nothing to do with one another.
    """
    random = Random(seed)
    recording = recording_of(random, loops, f"{name}, seed {seed}")
    order = sorted(specs, key=lambda name: _price(specs[name]))
    chances: list[Mapping[ModelName, float]] = []
    for _ in range(CALLS + 1):
        demand = random.random()
        chances.append({one: min(1.0, 1.3 - demand + 0.2 * rank) if ranked else random.random() for rank, one in enumerate(order)})
    router = Router({str(one): spec for one, spec in specs.items()}, policy=Policy(), scorer=Unsure())
    return LongSession(name=recording.session_id, router=router, calls=list(replay_session(recording, router)), chances=chances)


def _price(spec: ModelSpec) -> float:
    assert spec.prices is not None
    return spec.prices.input + spec.prices.output


def near_specs(kept: Sequence[float]) -> dict[ModelName, ModelSpec]:
    """Return the routes of the hard case.

    Args:
        kept: For each, the seconds for which it finds cached what it read.
    """

    def spec(name: str, seconds: float) -> ModelSpec:
        times, first = NEAR[name], NEAR_PRICES
        prices = replace(first, input=first.input * times, output=first.output * times, cached_input=(first.cached_input or 0.0) * times)
        return ModelSpec(model=name, prices=prices, prompt_cache=PromptCache(seconds_to_live=seconds))

    return {ModelName(name): spec(name, seconds) for name, seconds in zip(NEAR, kept, strict=True)}


def hard_session(kind: str, seed: int) -> LongSession:
    """Make up a session of the hard case; `kind` is one of `KEPT`."""
    return long_session(f"near prices, {kind}", near_specs(KEPT[kind]), (1,), seed, ranked=False)


def print_seconds(name: str, solved: Iterable[Solved], *, target: str | None, note: str) -> None:
    """Print the worst of several, and tell a person all."""
    every = sorted(solved, key=lambda one: one.seconds)
    for one in every:
        say(f"{one.seconds:>8.3f} s {one.states:>8,} states {one.runs:>4} runs {one.switches:>4} switches  {one.name}")
    worst = every[-1]
    told = f"the worst of {len(every)}: {worst.name}, {worst.runs} runs, {worst.switches} switches, {worst.states:,} states kept"
    middle: dict[str, float | None] = {"median of the same": round(every[len(every) // 2].seconds, 3)}
    figure(name, round(worst.seconds, 3), unit="seconds of the processor", n=len(every), target=target, peer=middle, note=f"{told}; {note}")


def main() -> None:
    """Print the figures."""
    seeds = SEEDS[:1] if is_quick(__doc__, means="one session of each kind") else SEEDS
    try:
        prices = prices_of(SHARED / "data")
    except OSError as error:
        missing([SECONDS, HARD], f"the prices are not there: {error.filename}")
    sessions = (
        long_session(f"{routes}, {kind}", specs_of({name: name for name in names}, prices), loops, seed, ranked=True)
        for routes, names in ROUTES.items()
        for kind, loops in LOOPS.items()
        for seed in seeds
    )
    print_seconds(
        SECONDS,
        (solve(session, stake) for session in sessions for stake in STAKES),
        target="<= 1",
        note=f"{CALLS} calls, 4 models at listed prices, dearer ones serve better; cost table and search, without the replay",
    )
    hard = (hard_session(kind, seed) for kind in KEPT for seed in seeds)
    print_seconds(
        HARD,
        (solve(session, stake) for session in hard for stake in HARD_STAKES),
        target=None,
        note=(
            "hard: prices differ by 15 % at most, every call is a boundary, chances are independent, and a stake is worth about what "
            "reading afresh costs; so no model is out for good, and who was visited when stays open to the end; besides, caches are "
            "kept for unequal times, or expire just where a return would pay"
        ),
    )


if __name__ == "__main__":
    main()
