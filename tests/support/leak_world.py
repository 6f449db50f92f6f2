"""A router, its tools and its simulated providers, for as many talks as one world bears."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from langchain_core.messages import HumanMessage, SystemMessage
from langchain_core.tools import BaseTool, tool
from langgraph.checkpoint.memory import InMemorySaver

from session_router import ModelSpec, Policy, Prices, Router, SemanticCache
from session_router.cache.settings import CacheSettings
from session_router.core.cache_terms import CacheRules
from session_router.testing.providers import Fault, SimulatedClock, SimulatedProviders
from session_router_langchain import SessionRouterChatModel, SessionRouterMiddleware
from session_router_langchain.tagging import labelled, tagged_tool
from support.agents import RestlessScorer
from support.in_process import Clients
from support.leak_labels import CLEARANCES, LABELS, Data, Parrot, simulated

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

    from session_router.core.governance import Tag
    from session_router.testing.providers import Canaries

KEY: Final = b"k" * 32
_ERRORS: Final = (Fault.rate_limited(), Fault.overloaded(), Fault.broken("after_text"))
_EACH: Final = 1.0 - 0.7 ** (1.0 / 3.0)
"""Each is drawn where none before it was: three in ten in all."""
READERS: Final = tuple(f"read_{name}" for name in LABELS)


class Crash(Exception):
    """The process ends here."""


@dataclass
class World:
    """Everything that some talks share.

    Attributes:
        canaries: The witness, which outlives the world.
        rng: Where all chances come from.
        failing: Whether three in ten requests fail.
        saver: Where threads are kept.
        threads: How many there are.
        crowded: Whether two talks go on at a time.
    """

    canaries: Canaries
    rng: random.Random
    failing: bool = False
    saver: Any = field(default_factory=InMemorySaver)
    threads: int = 0
    crowded: bool = False

    def __post_init__(self) -> None:
        rng = self.rng
        self.data, self.parrot, self.clock = Data(self.canaries, rng), Parrot(rng), SimulatedClock()
        self.providers = SimulatedProviders(simulated(self.parrot), clock=self.clock, canaries=self.canaries, seed=str(rng.random()))
        if self.failing:
            for fault in _ERRORS:
                self.providers.faults.sometimes(fault, probability=_EACH)
        self.clients = Clients(self.providers)
        # What the schemas of the tools say bears a label of its own, in some worlds.
        self.schemas = rng.choice(["public", "public", "internal"])
        self.first = {name: self.data.of(name) for name in LABELS}
        self.crashes: set[str] = set()
        self.tools = [self._reader(name) for name in LABELS] + [self._echo(), self._crashing()]
        self.router = self.new_router()
        self.middleware = SessionRouterMiddleware(self.router, principal="ada")
        self.model = SessionRouterChatModel(router=self.router, principal="ada")

    def new_router(self) -> Router:
        """Return a router as another process would build it: it shares the key, and nothing else."""
        clients = self.clients
        built: dict[str, Any] = {
            "open": clients.openai("sim-open"),
            "eu": clients.openai("sim-eu"),
            "us": clients.claude("sim-us"),
            "kept": clients.openai("sim-kept", use_responses_api=True, use_previous_response_id=True, output_version="responses/v1"),
            "kept-2": clients.openai("sim-kept-2", use_responses_api=True, output_version="responses/v1"),
            "own": clients.openai("sim-own"),
        }
        # Where the model that may see nearly all of it is missing, more is refused, or sent in part.
        left = [name for name in built if name != "own" or self.rng.random() < 0.7]
        prices = Prices(input=1.0, output=4.0)
        routes = {name: ModelSpec(model=built[name], prices=prices, clearance=CLEARANCES[name]) for name in left}
        cache = SemanticCache(settings=CacheSettings(clearance=CLEARANCES["own"])) if self.rng.random() < 0.5 else None
        return Router(routes, policy=self._policy(), scorer=RestlessScorer(), clock=self.clock, key=KEY, cache=cache)

    def _policy(self) -> Policy:
        sources: dict[str, Tag] = {"system": LABELS["public"], "human": LABELS["public"], "schemas": LABELS[self.schemas]}
        return Policy(
            stake=1.0,
            margin=0.0,
            cache=CacheRules(sharing="tenant", reader=CLEARANCES["own"]),
            sources=sources,
            tools={"echo": LABELS["public"], "crash": LABELS["public"], "ask": LABELS["public"], "Verdict": LABELS["public"]},
            on_denied=self.rng.choice([(), ("withhold",), ("fresh",), ("withhold", "fresh")]),
        )

    def _reader(self, label: str) -> BaseTool:
        def read(note: str) -> str:
            del note
            return f"the file says {self.data.of(label)}"

        described = f"Read what is {label}. {self.data.of(self.schemas)}"
        return tagged_tool(tool(f"read_{label}", description=described)(read), tag=LABELS[label])

    def _echo(self) -> BaseTool:
        @tool
        def echo(note: str) -> str:
            """Say it again."""
            return note

        return echo

    def _crashing(self) -> BaseTool:
        @tool
        def crash(note: str) -> str:
            """Do something that ends the process, the first time."""
            if note not in self.crashes:
                self.crashes.add(note)
                raise Crash
            return note

        return crash

    def some_tools(self, count: int = 4) -> list[BaseTool]:
        """Return some readers, and what they are used with."""
        *readers, echo, crash = self.tools
        return [*self.rng.sample(readers, count), echo, crash]

    # What is said

    def label(self, *names: str) -> str:
        """Choose a label, of `names` or of all."""
        return self.rng.choice(names or tuple(LABELS))

    def said(self, *steps: Sequence[str], label: str | None = None, words: str = "") -> HumanMessage:
        """Return a message that makes the model call tools; it bears data of a label, or none and no label."""
        plan = self.parrot.plan(*steps)
        if label is None:
            return HumanMessage(f"{words} {plan}")
        return labelled(HumanMessage(f"{words} {self.data.of(label)} {plan}"), LABELS[label])

    def anything(self, *, more: Sequence[str] = (), calm: bool = False) -> HumanMessage:
        """Return a message with a random label that makes the model call random tools, in parallel and one after another."""
        names = (*READERS, "echo", *more)
        steps = [[self.rng.choice(names) for _ in range(self.rng.choice([1, 1, 2, 3]))] for _ in range(self.rng.choice([0, 1, 1, 2]))]
        return self.said(*([] if calm else steps), label=self.label(*LABELS, *["public"] * 6))

    def prompt(self) -> SystemMessage | None:
        """Return a system prompt with data of some label, or none."""
        if self.rng.random() < 0.5:
            return None
        label = self.label("public", "internal", "pii", "acme")
        return labelled(SystemMessage(f"You know {self.data.of(label)}."), LABELS[label])

    def summary(self, messages: Sequence[Any]) -> HumanMessage:
        """Return a summary, as a framework would put it in place of a history: nobody labels it."""
        words = " ".join(message.text for message in messages)[-600:]
        return HumanMessage(f"Summary: {words}", additional_kwargs={"lc_source": "summarization"})

    def thread(self) -> Any:
        """Return the config of a new thread."""
        self.threads += 1
        return {"configurable": {"thread_id": f"t{self.threads}"}, "recursion_limit": 60}

    def later(self) -> None:
        """Let time go by, unless another talk may have a request under way: what is sent in time may not arrive too late.

        Where all talks move one clock, a few of 10,000 requests bear data whose label ended on the way, and the witness calls that a
        leak. Each was permitted when it was decided. Some had waited while they were decided: that was ours to see, and is seen now
        (`test_labels_that_end`). The others had left the router, for a client or for another node of the graph.
        """
        if not self.crowded:
            self.clock.advance(self.rng.choice([5.0, 60.0, 900.0]))
