"""Failures on request: what goes wrong, and when."""

import random
import threading
from collections import deque
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

FaultKind: TypeAlias = Literal["rate_limited", "overloaded", "slow", "broken"]
BreakPoint: TypeAlias = Literal["before_first_token", "after_text", "in_tool_call"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    """One thing that goes wrong with one request. Use the constructors below.

    Attributes:
        kind: What goes wrong.
        seconds: `retry-after` of a rate limit or an overload, or how long a slow answer waits before its first
            byte, in real time. `None` sends no header.
        at: Where a stream breaks.
        text_deltas: How many text deltas still arrive where `at` is `after_text`.
    """

    kind: FaultKind
    seconds: float | None = None
    at: BreakPoint = "before_first_token"
    text_deltas: int = 0

    @classmethod
    def rate_limited(cls, *, retry_after: float | None = None) -> "Fault":
        """Answer 429, with `retry-after` in seconds."""
        return cls(kind="rate_limited", seconds=retry_after)

    @classmethod
    def overloaded(cls, *, retry_after: float | None = None) -> "Fault":
        """Answer 503 as OpenAI does, or 529 as Anthropic does."""
        return cls(kind="overloaded", seconds=retry_after)

    @classmethod
    def slow(cls, seconds: float) -> "Fault":
        """Wait `seconds` of real time before the first byte, then answer as usual."""
        return cls(kind="slow", seconds=seconds)

    @classmethod
    def broken(cls, at: BreakPoint = "before_first_token", *, text_deltas: int = 1) -> "Fault":
        """Cut the connection inside the answer, which began with status 200.

        Where the answer has no such place, the stream loses its closing events. An answer that is not streamed
        loses its body.
        """
        return cls(kind="broken", at=at, text_deltas=text_deltas)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Planned:
    fault: Fault
    model: str | None
    times: int

    def concerns(self, model: str) -> bool:
        return self.model in {None, model}


@dataclass(frozen=True, kw_only=True, slots=True)
class _Random:
    fault: Fault
    model: str | None
    probability: float


class Faults:
    """The plan of what goes wrong. Safe to change from any thread while requests are served.

    A planned fault hits the next request of its model that has a valid key and a known model. Faults by
    probability are drawn, in the order in which they were added, for requests that no planned fault hits.
    """

    def __init__(self, *, seed: int = 0) -> None:
        """Plan nothing; `seed` fixes the draws."""
        self._lock = threading.Lock()
        self._planned: deque[_Planned] = deque()
        self._random: list[_Random] = []
        self._generator = random.Random(seed)  # noqa: S311 -- reproducible draws, not secrets

    def next(self, fault: Fault, *, model: str | None = None, times: int = 1) -> None:
        """Queue `fault` for the next `times` requests to `model`, or to any model."""
        with self._lock:
            self._planned.append(_Planned(fault=fault, model=model, times=times))

    def sometimes(self, fault: Fault, *, probability: float, model: str | None = None) -> None:
        """Let `fault` hit each request to `model`, or to any, with `probability` in [0, 1]."""
        if not 0.0 <= probability <= 1.0:
            message = f"`probability` is {probability!r}; it must be in [0, 1]."
            raise ValueError(message)
        with self._lock:
            self._random.append(_Random(fault=fault, model=model, probability=probability))

    def clear(self) -> None:
        """Drop the whole plan."""
        with self._lock:
            self._planned.clear()
            self._random.clear()

    def take(self, model: str) -> Fault | None:
        """Return the fault that hits this request to `model`, and count it off the plan."""
        with self._lock:
            for at, planned in enumerate(self._planned):
                if planned.concerns(model):
                    if planned.times > 1:
                        self._planned[at] = replace(planned, times=planned.times - 1)
                    else:
                        del self._planned[at]
                    return planned.fault
            for drawn in self._random:
                if drawn.model in {None, model} and self._generator.random() < drawn.probability:
                    return drawn.fault
            return None
