"""The workload of the published benchmark of session-aware agentic routing (SAAR), and what a policy is charged on it.

Source of every parameter: vllm-project/semantic-router, `bench/agentic_routing_experiment.py`, commit 80e6c63. The code
is our own. It is right when the published figures of routing turn by turn come out exactly.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

SEEDS = tuple(range(20_260_530, 20_260_535))
SESSIONS_PER_SEED = 40
TURNS_PER_SESSION = 18
DOLLARS_PER_SWITCH = 0.02
LONGEST_HISTORY = 64_000  # tokens
TOKENS_PER_PRICE = 1_000_000


class Phase(StrEnum):
    """What a turn is part of."""

    USER_TURN = "user_turn"
    TOOL_LOOP = "tool_loop"
    PROVIDER_STATE = "provider_state"
    TOPIC_DRIFT = "topic_drift"


CACHED_MORE = {Phase.TOOL_LOOP: 0.12, Phase.PROVIDER_STATE: 0.08}
"""What such a turn adds to the cached share."""


class IdleMode(StrEnum):
    """How often a session rests long enough for its caches to expire."""

    SINGLE = "single"
    RARE = "rare"
    FREQUENT = "frequent"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Model:
    """One of the three models; compared by identity.

    Attributes:
        name: Its name.
        quality: In [0, 1].
        input: US dollars per 1,000,000 tokens read.
        output: Likewise, written.
        cached_input: Likewise, read from the cache.
    """

    name: str
    quality: float
    input: float
    output: float
    cached_input: float


SMALL = Model(name="qwen3-8b", quality=0.64, input=0.05, output=0.10, cached_input=0.01)
MIDDLE = Model(name="qwen3-32b", quality=0.78, input=0.30, output=0.60, cached_input=0.06)
FRONTIER = Model(name="frontier-reasoner", quality=0.94, input=8.00, output=24.00, cached_input=1.20)
MODELS = (SMALL, MIDDLE, FRONTIER)
START = SMALL
"""The model that a session is on before its first turn: a first choice of another one counts as a switch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cycle:
    """Turns that come back: those whose index modulo `length` is in `slots`; none when `length` is 0."""

    length: int = 0
    slots: frozenset[int] = frozenset()

    def has(self, index: int) -> bool:
        """Tell whether the turn is one of them."""
        return self.length > 0 and index % self.length in self.slots


NEVER = Cycle()


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """The parameters of one kind of session.

    Attributes:
        name: Its name.
        demand: Demand of a first user turn, before the wave and the noise.
        progress: What demand gains from the first turn to the last.
        phase_bonus: What demand gains outside user turns.
        wave: Amplitude of its wave of eight turns.
        noise: Half the width of its uniform noise.
        history: Least and most tokens that a session starts with.
        idle: How often it rests.
        turns_prior: Turns that SAAR is told to expect.
        growth: Factor on the tokens by which the history grows.
        tool: Turns inside a tool loop.
        state: Turns bound to a provider's state; these win over tool loops.
        drift: Turns on a new topic; these win over both.
    """

    name: str
    demand: float
    progress: float
    phase_bonus: float
    wave: float
    noise: float
    history: tuple[int, int]
    idle: IdleMode
    turns_prior: float
    growth: float = 1.0
    tool: Cycle
    state: Cycle = NEVER
    drift: Cycle = NEVER

    def phase(self, index: int) -> Phase:
        """Return what the turn is part of."""
        cycles = ((self.drift, Phase.TOPIC_DRIFT), (self.state, Phase.PROVIDER_STATE), (self.tool, Phase.TOOL_LOOP))
        return next((phase for cycle, phase in cycles if cycle.has(index)), Phase.USER_TURN)


SCENARIOS = (
    Scenario(
        name="balanced",
        demand=0.42,
        progress=0.28,
        phase_bonus=0.16,
        wave=0.18,
        noise=0.09,
        history=(512, 2048),
        idle=IdleMode.SINGLE,
        turns_prior=6.0,
        tool=Cycle(length=5, slots=frozenset({2, 3})),
    ),
    Scenario(
        name="tool-heavy",
        demand=0.55,
        progress=0.22,
        phase_bonus=0.18,
        wave=0.14,
        noise=0.08,
        history=(1024, 3072),
        idle=IdleMode.SINGLE,
        turns_prior=9.0,
        growth=1.12,
        tool=Cycle(length=6, slots=frozenset({2, 3, 4})),
    ),
    Scenario(
        name="frontier-heavy",
        demand=0.55,
        progress=0.34,
        phase_bonus=0.20,
        wave=0.17,
        noise=0.07,
        history=(1536, 4096),
        idle=IdleMode.RARE,
        turns_prior=10.0,
        growth=1.20,
        tool=Cycle(length=5, slots=frozenset({2, 3})),
    ),
    Scenario(
        name="idle-heavy",
        demand=0.42,
        progress=0.30,
        phase_bonus=0.14,
        wave=0.16,
        noise=0.10,
        history=(512, 2048),
        idle=IdleMode.FREQUENT,
        turns_prior=4.0,
        tool=Cycle(length=5, slots=frozenset({2, 3})),
    ),
    Scenario(
        name="stateful-heavy",
        demand=0.58,
        progress=0.30,
        phase_bonus=0.24,
        wave=0.15,
        noise=0.08,
        history=(128, 1024),
        idle=IdleMode.RARE,
        turns_prior=3.0,
        growth=0.95,
        tool=Cycle(length=6, slots=frozenset({3, 4})),
        state=Cycle(length=5, slots=frozenset({1, 2})),
    ),
    Scenario(
        name="drift-heavy",
        demand=0.46,
        progress=0.28,
        phase_bonus=0.26,
        wave=0.12,
        noise=0.08,
        history=(2048, 6144),
        idle=IdleMode.RARE,
        turns_prior=7.0,
        growth=1.08,
        tool=Cycle(length=6, slots=frozenset({3})),
        drift=Cycle(length=6, slots=frozenset({1, 2})),
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One turn, as far as a policy may see it when it is asked.

    Attributes:
        phase: What it is part of.
        demand: In [0, 1].
        asked: The base choice: the cheapest model whose quality the demand calls for.
        history: Tokens of the history.
        prompt: Tokens to read.
        completion: Tokens to write.
    """

    phase: Phase
    demand: float
    asked: Model
    history: int
    prompt: int = field(init=False)
    completion: int = field(init=False)

    def __post_init__(self) -> None:
        """Derive the tokens."""
        object.__setattr__(self, "prompt", 800 + self.history)
        object.__setattr__(self, "completion", 220 + int(180 * self.demand))


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One session: what a benchmark knows, and no policy.

    Attributes:
        scenario: Its parameters.
        seed: Of the generator that it shares with the 39 other sessions of its scenario and seed.
        turns: All of them.
        idle: Indices of the turns before which it rested.
    """

    scenario: Scenario
    seed: int
    turns: tuple[Turn, ...]
    idle: frozenset[int]


def all_sessions() -> tuple[Session, ...]:
    """Return the 1,200 sessions of the published benchmark: 6 scenarios, 5 seeds, 40 sessions of 18 turns each."""
    return tuple(session for scenario in SCENARIOS for seed in SEEDS for session in sessions_of(scenario, seed))


def sessions_of(scenario: Scenario, seed: int) -> Iterator[Session]:
    """Yield the sessions of one scenario and seed. The order of the draws is part of the workload."""
    random_source = random.Random(seed)
    for _ in range(SESSIONS_PER_SEED):
        history = random_source.randint(*scenario.history)
        idle = _idle_turns(scenario.idle, random_source)
        turns = tuple(_turns(scenario, history, random_source))
        yield Session(scenario=scenario, seed=seed, turns=turns, idle=idle)


def _idle_turns(mode: IdleMode, random_source: random.Random) -> frozenset[int]:
    if mode is IdleMode.RARE:
        return frozenset()
    if mode is IdleMode.FREQUENT:
        every = max(5, TURNS_PER_SESSION // 4)
        return frozenset(range(every, TURNS_PER_SESSION, every))
    return frozenset({random_source.choice((0, TURNS_PER_SESSION // 2, TURNS_PER_SESSION + 1))})  # the last never comes


def _turns(scenario: Scenario, history: int, random_source: random.Random) -> Iterator[Turn]:
    for index in range(TURNS_PER_SESSION):
        phase = scenario.phase(index)
        demand = scenario.demand + scenario.progress * index / (TURNS_PER_SESSION - 1)
        demand += 0.0 if phase is Phase.USER_TURN else scenario.phase_bonus
        demand += scenario.wave * math.sin(index * math.pi / 4) + random_source.uniform(-scenario.noise, scenario.noise)
        demand = min(1.0, max(0.0, demand))
        turn = Turn(phase=phase, demand=demand, asked=asked_for(demand), history=history)
        yield turn
        history = min(LONGEST_HISTORY, history + int((turn.prompt // 8 + turn.completion) * scenario.growth))


def asked_for(demand: float) -> Model:
    """Return the base choice."""
    if demand >= 0.78:
        return FRONTIER
    return MIDDLE if demand >= 0.55 else SMALL


def is_locked(turn: Turn, *, first: bool) -> bool:
    """Tell whether a switch is unsafe: inside a tool loop or across provider state, after the first turn."""
    return not first and turn.phase in {Phase.TOOL_LOOP, Phase.PROVIDER_STATE}


def cached_share(turn: Turn, model: Model, *, switched: bool) -> float:
    """Return the share of the prompt that the model has cached, in [0, 0.85]."""
    share = min(0.72, max(0.5, turn.history / 48_000))
    share += CACHED_MORE.get(turn.phase, 0.0)
    share += 0.06 if model is FRONTIER else 0.0
    share *= 0.2 if switched else 1.0
    return min(0.85, share)


def call_dollars(turn: Turn, model: Model, share: float) -> float:
    """Return the US dollars of one served turn, of whose prompt `share` is cached."""
    cached = int(turn.prompt * share)
    dollars = (turn.prompt - cached) * model.input + cached * model.cached_input + turn.completion * model.output
    return dollars / TOKENS_PER_PRICE


def shortfall(asked: Model, served: Model) -> float:
    """Return the quality asked for minus the quality served, where positive."""
    return max(0.0, asked.quality - served.quality)


def turn_total(turn: Turn, current: Model, model: Model, stake: float) -> float:
    """Return what one turn adds to the total of the report, in US dollars.

    Args:
        turn: The turn.
        current: The model before it.
        model: The model that serves it.
        stake: US dollars for a shortfall of 1.
    """
    switched = model is not current
    dollars = call_dollars(turn, model, cached_share(turn, model, switched=switched))
    return dollars + stake * shortfall(turn.asked, model) + DOLLARS_PER_SWITCH * switched
