"""Random talks until enough was sent, and what the witness saw; whole, and with one part of the protection taken away."""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final
from unittest.mock import patch

from openai._utils import is_given
from openai.resources.chat.completions import completions
from openai.resources.responses import responses

from session_router.core import eligibility, flow
from session_router.core.governance import PUBLIC
from session_router.core.policy import Policy
from session_router.core.readings import Inherited
from session_router_langchain import calls, middleware, places
from support.leak_helpers import graphs, handoffs, helpers, threads
from support.leak_labels import witness
from support.leak_scenes import SCENES as ALONE
from support.leak_world import World

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from session_router.testing.providers import Canaries
    from support.leak_scenes import Scene

SCENES: Final[Mapping[str, Scene]] = {**ALONE, "helpers": helpers, "handoffs": handoffs, "graphs": graphs, "threads within": threads}
_WORLD_LASTS = 400
"""Requests: what a simulator remembers grows with them."""


def _nothing(*_: Any, **__: Any) -> None:
    return None


def _itself(result: Any, *_: Any, **__: Any) -> Any:
    return result


def _given(body: Any, *_: Any) -> Any:
    return {name: value for name, value in body.items() if is_given(value)}


async def _agiven(body: Any, *_: Any) -> Any:
    return _given(body)


def _nothing_taken_up(call: Any, *_: Any) -> Any:
    return Inherited(call, {})
    yield  # pragma: no cover -- makes it a generator


def _none_around(_: Any) -> Any:
    return ((), False)


def _public(*_: Any, **__: Any) -> Any:
    return frozenset({PUBLIC})


BROKEN: Final[Mapping[str, Sequence[tuple[Any, str, Any]]]] = {
    "the choke point": ((Policy, "failing_rule", _nothing),),
    "what helpers inherit": ((calls, "inherited", _nothing),),
    "what tools bring back": ((middleware, "with_lineage", _itself),),
    "what is around a thread": ((places._Caller, "outside", _none_around),),
    "what graphs hand on": ((flow, "take_up", _nothing_taken_up),),
    "labels of what providers hold": ((eligibility, "_held", _public),),
}
"""What can be taken away. Each must be seen to be missed."""


@dataclass
class Seen:
    """What the witness saw.

    Attributes:
        requests: That reached a model, by scene.
        marked: Of these, those with data in them that bears a label.
        leaks: Of these, those that the model may not see.
        talks: Talks, by scene.
        failed: Requests that failed as they were meant to.
        seconds: The processor's.
        first: The first leaks, in words.
    """

    requests: dict[str, int] = field(default_factory=dict)
    marked: dict[str, int] = field(default_factory=dict)
    leaks: dict[str, int] = field(default_factory=dict)
    talks: dict[str, int] = field(default_factory=dict)
    failed: int = 0
    seconds: float = 0.0
    first: list[str] = field(default_factory=list)

    @property
    def total(self) -> tuple[int, int, int]:
        """Requests, those with data in them, and leaks."""
        return sum(self.requests.values()), sum(self.marked.values()), sum(self.leaks.values())

    def added(self, other: Seen) -> None:
        """Count `other` as well."""
        for name in ("requests", "marked", "leaks", "talks"):
            mine, its = getattr(self, name), getattr(other, name)
            for scene, count in its.items():
                mine[scene] = mine.get(scene, 0) + count
        self.failed += other.failed
        self.seconds += other.seconds
        self.first = [*self.first, *other.first][:5]


def play(requests: int, *, seed: int, without: str | None = None, scenes: Sequence[str] = tuple(SCENES)) -> Seen:
    """Play talks.

    Args:
        requests: How many must reach a model.
        seed: Where all chances come from.
        without: The part of the protection that is taken away, of `BROKEN`; `None` for none.
        scenes: The talks; each begins as often as any other.
    """
    with ExitStack() as stack:
        for module in (completions, responses):
            # A third of all the time, and nothing to do: what LangChain hands to the SDK is plain JSON already.
            stack.enter_context(patch.object(module, "maybe_transform", _given))
            stack.enter_context(patch.object(module, "async_maybe_transform", _agiven))
        for owner, name, instead in () if without is None else BROKEN[without]:
            stack.enter_context(patch.object(owner, name, instead))
        return asyncio.run(_play(requests, seed, scenes))


async def _play(requests: int, seed: int, scenes: Sequence[str]) -> Seen:
    canaries, seen, began = witness(), Seen(), time.process_time()
    turns = itertools.cycle(scenes)
    for number in itertools.count():
        if canaries.requests >= requests:
            break
        rng = random.Random(f"{seed} {number}")
        world, until = World(canaries, rng, failing=number % 2 == 1), min(requests, canaries.requests + _WORLD_LASTS)
        while canaries.requests < until:
            await _scene(world, canaries, seen, next(turns), f"world {seed} {number}")
        seen.failed += sum(row.status >= 400 or row.error_type is not None for row in world.providers.ledger.rows)
    seen.seconds = time.process_time() - began
    return seen


async def _scene(world: World, canaries: Canaries, seen: Seen, scene: str, where: str) -> None:
    before = canaries.requests, canaries.marked, len(canaries.leaks)
    # Half of the time two at a time: sessions on one middleware share nothing but that.
    world.crowded = world.rng.random() < 0.5
    talks = 1 + world.crowded
    await asyncio.gather(*(SCENES[scene](world) for _ in range(talks)))
    seen.first += [
        f"{where}, {scene}: {one.model} saw {len(one.markers)} pieces of data: {one.rule}" for one in canaries.leaks[before[2] :]
    ]
    seen.first = seen.first[:5]
    after = canaries.requests, canaries.marked, len(canaries.leaks)
    for name, one, other in zip(("requests", "marked", "leaks"), before, after, strict=True):
        counts = getattr(seen, name)
        counts[scene] = counts.get(scene, 0) + other - one
    seen.talks[scene] = seen.talks.get(scene, 0) + talks
