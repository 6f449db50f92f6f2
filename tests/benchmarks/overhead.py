"""What one decision costs as a session grows from 2 to 2,000 messages, beside two peers in the same process."""

from __future__ import annotations

import asyncio
import gc
import math
import os
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from _figure import figure, is_quick, say

if TYPE_CHECKING:
    from collections.abc import Callable

SENTENCE = "the order was shipped on monday and the customer asks why the invoice shows another amount than agreed"
WORDS = SENTENCE.split()
LENGTHS = (2, 10, 50, 200, 500, 1000, 2000)


def text(seed: int, words: int = 60) -> str:
    return " ".join(WORDS[(seed * 7 + index * 3) % len(WORDS)] for index in range(words))


def turn(index: int, *, loop: bool = False) -> list[Any]:
    """Return the messages of one turn: a question, two tool calls, an answer; `loop` goes on with the turn before."""
    said = {"model_name": "sim-fast"}
    calls = [{"name": "lookup", "args": {"id": index, "part": part}, "id": f"call_{index}_{part}"} for part in range(2)]
    if loop and index:
        return turn(index)[1:5]
    return turn_of(index, calls, said)[: 5 if loop else None]


def turn_of(index: int, calls: list[Any], said: dict[str, str]) -> list[Any]:
    """Return the messages of one whole turn."""
    from langchain_core.messages import AIMessage, HumanMessage, ToolMessage

    return [
        HumanMessage(text(index), id=f"h{index}"),
        AIMessage("", tool_calls=[calls[0]], response_metadata=said, id=f"a{index}"),
        ToolMessage(text(index + 1), tool_call_id=calls[0]["id"], id=f"t{index}"),
        AIMessage("", tool_calls=[calls[1]], response_metadata=said, id=f"b{index}"),
        ToolMessage(text(index + 2), tool_call_id=calls[1]["id"], id=f"u{index}"),
        AIMessage(text(index + 3), response_metadata=said, id=f"c{index}"),
    ]


class Clocked:
    """Times of one subject, by length of the history."""

    def __init__(self) -> None:
        self.seconds: dict[int, list[float]] = {length: [] for length in LENGTHS}

    def add(self, length: int, seconds: float) -> None:
        self.seconds[min(LENGTHS, key=lambda one: abs(math.log(one / length)))].append(seconds)

    def all(self) -> list[float]:
        return [value for values in self.seconds.values() for value in values]

    def quantile(self, length: int, share: float) -> float:
        values = sorted(self.seconds[length])
        return values[min(len(values) - 1, int(share * len(values)))] * 1e6

    def worst(self, share: float) -> float:
        """Return the quantile at the length where it is largest."""
        return max(self.quantile(length, share) for length in LENGTHS if self.seconds[length])

    def exponent(self) -> float:
        """Return the slope of log median time over log length."""
        points = [(math.log(length), math.log(self.quantile(length, 0.5))) for length in LENGTHS if self.seconds[length]]
        slope, _ = statistics.linear_regression(*zip(*points, strict=True))
        return slope


def lengths(sessions: int, maximum: int) -> list[int]:
    """Return how long each session grows: a few to the maximum, many short ones, so that every length is seen often."""
    return [maximum] * sessions + [12] * (40 * sessions)


@dataclass(frozen=True, slots=True)
class Timed:
    """Times of ours: of each decision, of those at a boundary, of those under a lock, and of whole passages."""

    decision: Clocked = field(default_factory=Clocked)
    boundary: Clocked = field(default_factory=Clocked)
    locked: Clocked = field(default_factory=Clocked)
    passage: Clocked = field(default_factory=Clocked)


def ours(sessions: int, maximum: int, *, loop: bool = False) -> Timed:
    """Time the middleware around a model that answers at once.

    With `loop` a session is one user turn whose tool loop never ends.
    """
    from langchain.agents.middleware.types import ModelRequest, ModelResponse
    from langchain_core.language_models.fake_chat_models import FakeListChatModel
    from langchain_core.messages import AIMessage, SystemMessage

    from session_router import Prices, Router
    from session_router_langchain import SessionRouterMiddleware

    router = Router(
        {name: FakeListChatModel(responses=["x"], name=f"sim-{name}") for name in ("fast", "middle", "strong")},
        prices={"fast": Prices(input=0.1, output=0.4), "middle": Prices(input=0.5, output=2), "strong": Prices(input=3, output=15)},
    )
    times = Timed()
    routed = router.route

    def timed(call: Any) -> Any:
        decided = routed(call)
        timed.at, timed.locked = time.perf_counter(), decided.lock is not None  # type: ignore[attr-defined]
        return decided

    router.route = timed  # type: ignore[method-assign]
    middleware = SessionRouterMiddleware(router)
    model = FakeListChatModel(responses=["x"])
    system = SystemMessage("You are a support agent. " + text(1, 200))
    answer = AIMessage("done", response_metadata={"model_name": "sim-fast"})
    for length in lengths(sessions, maximum):
        messages: list[Any] = []
        state: dict[str, Any] = {"messages": messages}
        for index in range(length):
            if len(messages) >= length:
                break
            for message in turn(index, loop=loop):
                if isinstance(message, AIMessage):
                    request = ModelRequest(model=model, messages=list(messages), system_message=system, state=state)
                    began = time.perf_counter()
                    extended = middleware.wrap_model_call(request, lambda _: ModelResponse(result=[answer]))
                    ended = time.perf_counter()
                    times.passage.add(max(2, len(messages)), ended - began)
                    for clocked in (times.decision, times.locked if timed.locked else times.boundary):  # type: ignore[attr-defined]
                        clocked.add(max(2, len(messages)), timed.at - began)  # type: ignore[attr-defined]
                    if extended.command is not None:
                        state = {"messages": messages, **extended.command.update}
                messages.append(message)
    return times


def langchain_router(sessions: int, maximum: int) -> Clocked:
    from langchain.agents.middleware.types import ModelRequest, ModelResponse
    from langchain_core.language_models.fake_chat_models import FakeListChatModel
    from langchain_core.messages import AIMessage
    from langchain_router import RouterMiddleware

    model, clocked = FakeListChatModel(responses=["x"]), Clocked()
    middleware = RouterMiddleware(fast=model)
    answer = AIMessage("done")
    for length in lengths(sessions, maximum):
        messages: list[Any] = []
        for index in range(length):
            if len(messages) >= length:
                break
            for message in turn(index):
                if isinstance(message, AIMessage):
                    request = ModelRequest(model=model, messages=list(messages), state={"messages": messages})
                    began = time.perf_counter()
                    middleware.wrap_model_call(request, lambda _: ModelResponse(result=[answer]))
                    clocked.add(max(2, len(messages)), time.perf_counter() - began)
                messages.append(message)
    return clocked


def litellm_rules(sessions: int, maximum: int) -> Clocked:
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
    from langchain_core.messages import AIMessage
    from langchain_core.messages.utils import convert_to_openai_messages
    from litellm import Router
    from litellm.router_strategy.complexity_router.complexity_router import ComplexityRouter

    deployments = [
        {"model_name": name, "litellm_params": {"model": f"openai/{target}", "api_key": "none"}}
        for name, target in (("fast", "gpt-4o-mini"), ("strong", "gpt-4o"))
    ]
    tiers = {"SIMPLE": "fast", "MEDIUM": "fast", "COMPLEX": "strong", "REASONING": "strong"}
    rules = ComplexityRouter("auto", Router(model_list=deployments), {"tiers": tiers}, default_model="fast")
    clocked = Clocked()

    async def run() -> None:
        for length in lengths(sessions, maximum):
            messages: list[Any] = []
            for index in range(length):
                if len(messages) >= length:
                    break
                for message in turn(index):
                    if isinstance(message, AIMessage):
                        history = list(messages)
                        began = time.perf_counter()
                        await rules.async_pre_routing_hook(model="auto", request_kwargs={}, messages=history)
                        clocked.add(max(2, len(messages)), time.perf_counter() - began)
                    messages.append(convert_to_openai_messages([message])[0])

    asyncio.run(run())
    return clocked


def cold_read(length: int, rounds: int) -> float:
    """Return the median microseconds of a decision on a history that no one has read before."""
    from langchain_core.language_models.fake_chat_models import FakeListChatModel

    from session_router import Prices, Router
    from session_router_langchain.calls import Calls

    router = Router({"fast": FakeListChatModel(responses=["x"])}, prices={"fast": Prices(input=0.1, output=0.4)})
    times: list[float] = []
    for _ in range(rounds):
        calls = Calls(router)
        messages = [message for index in range(length // 6 + 1) for message in turn(index)][:length]
        began = time.perf_counter()
        calls.read(messages)
        times.append(time.perf_counter() - began)
    return statistics.median(times) * 1e6


def import_seconds(statement: str, rounds: int) -> float:
    """Return the median seconds that `statement` takes in a fresh interpreter, above an empty one.

    Its modules are compiled before, as those of a package are when it is installed.
    """
    environment = {name: said for name, said in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}

    def run(code: str) -> float:
        began = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, env=environment)
        return time.perf_counter() - began

    run(statement)
    return statistics.median(run(statement) for _ in range(rounds)) - statistics.median(run("pass") for _ in range(rounds))


def main() -> None:
    quick = is_quick(__doc__, means="fewer sessions")
    sessions, maximum = (3, 2000) if quick else (10, 2000)
    gc.collect()
    subjects: dict[str, Callable[[int, int], Any]] = {"langchain-router": langchain_router, "litellm": litellm_rules}
    ours(1, 200)  # warm up
    times = ours(sessions, maximum)
    decision = times.decision
    peers: dict[str, Clocked | None] = {}
    for name, run in subjects.items():
        try:
            peers[name] = run(max(1, sessions // 3), maximum)
        except ImportError as error:
            say(f"{name} is not installed ({error}); `make bench` installs it")
            peers[name] = None
    columns = ("ours p50", "p99", "locked p50", "boundary p50", "passage p50")
    say(f"{'messages':>10} " + " ".join(f"{name:>12}" for name in columns) + " ".join(f"{name + ' p50':>22}" for name in peers))
    for length in LENGTHS:
        medians = [one.quantile(length, 0.5) for one in (times.locked, times.boundary, times.passage)]
        row = [decision.quantile(length, 0.5), decision.quantile(length, 0.99), *medians]
        others = [f"{one.quantile(length, 0.5):>22.1f}" if one else f"{'-':>22}" for one in peers.values()]
        say(f"{length:>10} " + " ".join(f"{value:>12.1f}" for value in row) + " ".join(others))
    worst = "at the worst of seven lengths"
    n = len(decision.all())
    compared = {name: None if one is None else one.worst(0.5) for name, one in peers.items()}
    figure("decision_p50_us", decision.worst(0.5), unit="us", n=n, target="<= 200", peer=compared, note=worst)
    figure("decision_p99_us", decision.worst(0.99), unit="us", n=n, target="<= 1000", note=worst)
    locked, boundary = times.locked, times.boundary
    note = f"no choice is open; {worst}"
    figure("locked_p50_us", locked.worst(0.5), unit="us", n=len(locked.all()), target="<= 150", note=note)
    note = f"need is scored and every candidate priced over the segment; {worst}"
    figure("boundary_p50_us", boundary.worst(0.5), unit="us", n=len(boundary.all()), target="<= 200", note=note)
    figure("boundary_p99_us", boundary.worst(0.99), unit="us", n=len(boundary.all()), target="<= 1000", note=note)
    looped = ours(max(1, sessions // 3), maximum, loop=True).decision
    note = f"one user turn whose tool loop grows to 2,000 messages; {worst}"
    figure("decision_p50_us_in_one_loop", looped.worst(0.5), unit="us", n=len(looped.all()), target="<= 200", note=note)
    figure("passage_p50_us", times.passage.worst(0.5), unit="us", n=n, note="read, decide, apply, observe, commit")
    figure(
        "growth_exponent",
        decision.exponent(),
        unit="slope of log p50 over log messages",
        n=n,
        target="<= 0.1",
        peer={name: None if one is None else one.exponent() for name, one in peers.items()},
    )
    rules = peers["litellm"]
    ratio = None if rules is None else decision.quantile(LENGTHS[0], 0.5) / rules.quantile(LENGTHS[0], 0.5)
    figure("over_litellm", ratio, unit="ratio of p50 at 2 messages", n=n, target="<= 1", note="" if rules else "LiteLLM is not installed")
    figure("cold_read_us_2000", cold_read(2000, 5), unit="us", n=5, note="first sight of a 2,000-message history, once per process and run")
    rounds = 5 if quick else 11
    figure(
        "import_s",
        import_seconds("import session_router; session_router.Router", rounds),
        unit="s above an empty interpreter",
        n=rounds,
        target="<= 0.15",
    )


if __name__ == "__main__":
    main()
