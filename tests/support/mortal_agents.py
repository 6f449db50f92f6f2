"""Agents of LangChain and LangGraph that die at any point, and go on from their checkpoints in another process.

Built once; whoever is to live is forked from there, and told by `Lives.begin` which session it goes on with.
"""

from __future__ import annotations

import random
import secrets
import sqlite3
import time
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final

from langchain.agents import create_agent
from langchain.agents.middleware import AgentMiddleware
from langchain.tools import ToolRuntime, tool
from langchain_anthropic import ChatAnthropic
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.runnables import RunnableLambda
from langchain_openai import ChatOpenAI
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.prebuilt import ToolNode

from session_router import ModelSpec, Policy, Prices, Router, SemanticCache
from session_router.cache.redis_rows import RedisEntryRows
from session_router.cache.settings import CacheSettings
from session_router.core.cache_terms import CacheRules
from session_router.core.governance import join
from session_router.core.health import HealthRules
from session_router.stores.redis import RedisSessionStore
from session_router_langchain import SessionRouterChatModel, SessionRouterMiddleware, convert, repair, target_of
from session_router_langchain.tagging import labelled, tagged_tool
from session_router_langgraph import create_router_node
from session_router_langgraph.state import RouterState
from support.agents import THINKING, provider_id
from support.invariants import Journal, JournalAudit, asker_of, wrongs
from support.kill_providers import ANSWER, BARRED_FROM, CLEARANCES, LABELS, STANDS_ALONE, WORD
from support.mortal import EPOCH, Epoch, Fate, MortalStore
from support.replicas import Restless
from values import ai, human
from values import tool as answers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from langchain_core.messages import BaseMessage

    from session_router.core.decision import Decision
    from session_router.core.step import Step

KEY: Final = b"k" * 32
CHECKPOINTS: Final = "checkpoints.sqlite"
DOORS: Final = ("middleware", "chat model", "node")
TENANTS: Final = ("acme", "globex")
TURNS: Final = 3
TIMEOUT_SECONDS: Final = 1.0
PAUSE_SECONDS: Final = (0.02, 0.2)
BREAKING_SHARE: Final = 0.05
"""Of runs of tools that give nothing."""
ABANDONED_SHARE: Final = 0.25
"""Of loops that nobody goes on with: the user types something else."""


@dataclass(frozen=True, kw_only=True)
class Session:
    """One conversation.

    Attributes:
        thread: Its name.
        door: How its agent is built.
        tenant: Whose it is.
        label: Of what its user says first.
    """

    thread: str
    door: str
    tenant: str
    label: str

    @property
    def config(self) -> Any:
        """Return the config of its runs."""
        return {"configurable": {"thread_id": self.thread}, "recursion_limit": 60}


class ToolBroke(Exception):
    """A tool gave nothing, and nobody said what to do then: the run ends."""


class Saver(SqliteSaver):
    """A checkpointer before and after each of whose answers the process may die."""

    fate = Fate()

    def put(self, *arguments: Any, **named: Any) -> Any:
        """Do what the checkpointer does."""
        self.fate.pass_by()
        put = super().put(*arguments, **named)
        self.fate.pass_by()
        return put

    def put_writes(self, *arguments: Any, **named: Any) -> None:
        """Do what the checkpointer does."""
        self.fate.pass_by()
        super().put_writes(*arguments, **named)
        self.fate.pass_by()


def saver_at(path: Path) -> Saver:
    """Open the checkpoints. What a process has written outlives it; that a power cut be survived as well is not the question here."""
    connection = sqlite3.connect(path, timeout=30.0, check_same_thread=False)
    connection.execute("PRAGMA synchronous=OFF")
    return Saver(connection)


class Lives:
    """What one process knows of the life that it leads: everything that is not the same in all of them.

    Attributes:
        fate: When it ends.
        journal: Of the session.
        session: The session.
        messages: The history that is about to be sent.
    """

    def __init__(self) -> None:
        self.fate = Fate()
        self.journal: Any = None
        self.session: Any = None
        self.messages: Sequence[BaseMessage] = ()

    def pass_by(self) -> None:
        """Go past one point, or not."""
        self.fate.pass_by()

    def note(self, **line: object) -> None:
        """Write a line about the session."""
        self.journal.append(**line)

    # As an observer

    def on_decision(self, decision: Decision) -> None:
        """Compare a decision with the history that it was made on."""
        self.pass_by()
        steps, labels = steps_of(self.messages), labels_of(self.messages)
        barred = {name for label in labels for name in BARRED_FROM[label]}
        least = join(*(LABELS[label] for label in labels)) if labels else None
        wrong = wrongs(steps, decision, barred=barred, least=least, may_refuse=True)
        if decision.refused and not self.may_be_refused(decision):
            wrong["refused"] = f"refused: {decision.reason}"
        said = {} if decision.hit is None else {"hit": answer_in(str(decision.hit.answer.content)), "by": self.whose}
        facts = {"session": decision.session_id, "in_loop": asker_of(steps) is not None, "reason": decision.reason.value}
        self.journal.decided(decision, wrong, **facts, **said)
        self.pass_by()

    def on_outcome(self, decision: Decision, outcome: Any) -> None:
        """Write down whether a loop goes on."""
        if outcome.error is None:
            self.note(said=[ask.id for ask in outcome.asks], by=decision.model)

    @staticmethod
    def may_be_refused(decision: Decision) -> bool:
        """Whether it is nobody's fault here: models that are ill; labels that a store without an answer cannot tell, or be told."""
        lost = "store" in decision.evidence.degraded
        return decision.reason.value in {"not_healthy", *(("not_handed_on", "not_cleared") if lost else ())}

    @property
    def whose(self) -> list[str]:
        """Return with whom answers may be shared: those who are in the same partition."""
        return [self.session.tenant, self.session.label]


def steps_of(messages: Sequence[BaseMessage]) -> list[Step]:
    """Return a history as the oracle reads it."""
    steps: list[Step] = []
    for message in messages:
        if isinstance(message, HumanMessage):
            steps.append(human(message.text))
        elif isinstance(message, ToolMessage):
            steps.append(answers(message.tool_call_id))
        elif isinstance(message, AIMessage):
            by = provider_id(message)
            steps.append(ai(*(str(call["id"]) for call in message.tool_calls), by=None if by is None else by.removeprefix("sim-")))
    return steps


_label_of: dict[str, str] = {}


def labels_of(messages: Sequence[BaseMessage]) -> set[str]:
    """Return the labels of the data that stands in messages."""
    return {
        _label_of[word] for message in messages for word in WORD.findall(str(message.content) + str(getattr(message, "tool_calls", "")))
    }


def answer_in(text: str) -> str | None:
    """Return what tells an answer from all others."""
    found = ANSWER.search(text)
    return None if found is None else found.group()


class MortalCache:
    """A response cache before and after each of whose answers the process may die. What is kept is written down before."""

    def __init__(self, cache: SemanticCache, lives: Lives) -> None:
        self._cache, self._lives = cache, lives

    def look_up(self, question: Any) -> Any:
        """Do what the cache does."""
        self._lives.pass_by()
        found = self._cache.look_up(question)
        self._lives.pass_by()
        return found

    def store(self, question: Any, answer: Any) -> str | None:
        """Do what the cache does."""
        self._lives.note(kept=answer_in(str(answer.content)), by=self._lives.whose)
        self._lives.pass_by()
        refused = self._cache.store(question, answer)
        self._lives.pass_by()
        return refused

    async def alook_up(self, question: Any) -> Any:
        """Do the same."""
        return self.look_up(question)

    async def astore(self, question: Any, answer: Any) -> str | None:
        """Do the same."""
        return self.store(question, answer)

    def abandon(self, question: Any) -> None:
        """Do what the cache does."""
        self._cache.abandon(question)

    def veto(self, hit: Any) -> None:
        """Do what the cache does."""
        self._cache.veto(hit)

    async def aveto(self, hit: Any) -> None:
        """Do the same."""
        self._cache.veto(hit)


class LivesAudit(JournalAudit):
    """An audit log: the journal of whatever session it is."""

    def __init__(self, lives: Lives) -> None:
        self._lives = lives

    def append(self, record: Mapping[str, Any]) -> None:
        """Write down that there is a record."""
        self._lives.pass_by()
        self.journal = self._lives.journal
        super().append(record)
        self._lives.pass_by()


class Looks(AgentMiddleware):
    """Sees what an agent is about to send, before anybody decides about it."""

    def __init__(self, lives: Lives) -> None:
        super().__init__()
        self._lives = lives

    def wrap_model_call(self, request: Any, handler: Callable[[Any], Any]) -> Any:
        """Look."""
        self._lives.messages = request.messages
        return handler(request)


class Agents:
    """All agents of one process, and whatever they share.

    Args:
        settings: Of the providers (`kill_providers.settings_of`).
        url: Of the Redis server.
        folder: Where all is kept.
        lives: What its process knows of its life.
        timeout: Seconds. Clients with the same one share their connections.

    Attributes:
        breaking_share: Of runs of tools.
        abandoned_share: Of loops.
    """

    def __init__(self, settings: Mapping[str, Any], url: str, folder: Path, lives: Lives, *, timeout: float = TIMEOUT_SECONDS) -> None:
        self._folder, self._words = folder, settings["words"]
        _label_of.update({word: label for label, words in self._words.items() for word in words})
        self.lives, self._timeout = lives, timeout
        self.breaking_share, self.abandoned_share = BREAKING_SHARE, ABANDONED_SHARE
        self.sessions = RedisSessionStore(url, key=KEY)
        self.store = MortalStore(self.sessions, Fate(), epoch=Epoch(folder / EPOCH), note=lives.note)
        rules = CacheSettings(clearance=CLEARANCES["chat"], wait_seconds=0.3)
        self.cache = SemanticCache(RedisEntryRows(self.sessions.link), key=KEY, settings=rules)
        self.router = self._router(settings)
        self.tools = [self._reader("public"), self._reader("secret"), self._echo()]
        self.agents = {(door, tenant): self._agent(door, tenant) for door in DOORS for tenant in TENANTS}
        # The file is made here, before anybody can be killed while making it.
        with closing(saver_at(folder / CHECKPOINTS).conn) as connection:
            Saver(connection).setup()

    def _router(self, settings: Mapping[str, Any]) -> Router:
        own: dict[str, Any] = {"max_retries": 0, "timeout": self._timeout}
        openai: dict[str, Any] = {"base_url": settings["openai"], "api_key": "key-openai", **own}
        claude: dict[str, Any] = {"base_url": settings["anthropic"], "api_key": "key-anthropic", **own}
        models = {
            "chat": ChatOpenAI(model="sim-chat", **openai),
            "claude": ChatAnthropic(model_name="sim-claude", max_tokens=4_096, thinking=dict(THINKING), **claude),
            "responses": ChatOpenAI(model="sim-responses", use_responses_api=True, output_version="responses/v1", **openai),
            "other": ChatOpenAI(model="sim-other", **openai),
        }
        return Router(
            {
                name: ModelSpec(model=model, prices=Prices(input=0.1 if name == "other" else 1.0, output=4.0), clearance=CLEARANCES[name])
                for name, model in models.items()
            },
            policy=Policy(
                stake=1.0,
                margin=0.0,
                cap=None,
                cache=CacheRules(sharing="tenant", reader=CLEARANCES["chat"]),
                sources={"system": LABELS["public"], "human": LABELS["public"], "schemas": LABELS["public"]},
                tools={"echo": LABELS["public"]},
            ),
            scorer=Restless(0),
            store=self.store,
            cache=MortalCache(self.cache, self.lives),
            audit=LivesAudit(self.lives),
            observers=[self.lives],
            health=HealthRules(wait_seconds=1.0),
            key=KEY,
        )

    def _reader(self, label: str) -> Any:
        def read(note: str, runtime: ToolRuntime) -> str:
            del note
            return self._ran(runtime.tool_call_id, f"the file says {random.choice(self._words[label])} {secrets.token_hex(4)}")

        return tagged_tool(tool(f"read_{label}", description=f"Read what is {label}.")(read), tag=LABELS[label])

    def _echo(self) -> Any:
        def echo(note: str, runtime: ToolRuntime) -> str:
            return self._ran(runtime.tool_call_id, f"{note} {secrets.token_hex(4)}")

        return tool("echo", description="Say it again.")(echo)

    def _ran(self, call: str | None, result: str) -> str:
        """Return what a tool gives; whether it did is not known to whoever comes after a death here."""
        self.lives.pass_by()
        if random.random() < self.breaking_share:
            raise ToolBroke
        self.lives.note(ran={str(call): result})
        self.lives.pass_by()
        return result

    def _agent(self, door: str, tenant: str) -> Any:
        if door == "node":
            return self._graph(tenant)
        looks = Looks(self.lives)
        if door == "middleware":
            router = SessionRouterMiddleware(self.router, tenant=tenant)
            return create_agent(self.router.models["chat"].model, tools=self.tools, middleware=[looks, router])
        model = SessionRouterChatModel(router=self.router, tenant=tenant)
        return create_agent(model, tools=self.tools, middleware=[looks])

    def _graph(self, tenant: str) -> Any:
        bound = {name: spec.model.bind_tools(self.tools) for name, spec in self.router.models.items()}

        class State(RouterState):
            messages: Annotated[list[Any], add_messages]

        def look(state: Any) -> Any:
            self.lives.messages = state["messages"]
            return state

        def answering(name: str) -> Any:
            target = target_of(name, self.router.models[name].model)
            return lambda state: {"messages": [bound[name].invoke(convert(repair(state["messages"]), target))]}

        graph: Any = StateGraph(State)
        node = create_router_node(self.router, destinations={name: name for name in bound}, tools=self.tools, tenant=tenant)
        graph.add_node("route", RunnableLambda(look) | node, destinations=tuple(bound))
        graph.add_node("tools", ToolNode(self.tools))
        graph.add_edge(START, "route")
        graph.add_edge("tools", "route")
        for name in bound:
            graph.add_node(name, answering(name))
            graph.add_conditional_edges(name, lambda state: "tools" if state["messages"][-1].tool_calls else END, ["tools", END])
        return graph.compile()

    # One life

    def begin(self, session: Session, *, seed: int, fate: Fate) -> None:
        """Let this process, which was forked, go on with a session."""
        random.seed(seed)
        self.lives.fate = self.store.fate = Saver.fate = fate
        self.lives.session, self.lives.journal = session, self.journal_of(session)
        self.router.scorer = Restless(seed)

    def journal_of(self, session: Session) -> Journal:
        """Return the journal of a session."""
        return Journal(self._folder / f"{session.thread}.jsonl")

    def live(self, session: Session, *, attempts: int) -> bool:
        """Go on with a session until it has all its turns, until death, or until nothing comes of so many attempts.

        Returns:
            Whether it has all its turns.
        """
        agent = self.agents[session.door, session.tenant]
        agent.checkpointer = saver_at(self._folder / CHECKPOINTS)
        agent.checkpointer.is_setup = True
        while attempts:
            state = agent.get_state(session.config)
            messages = state.values.get("messages", [])
            turns = sum(isinstance(message, HumanMessage) for message in messages)
            if not state.next and turns >= TURNS:
                return True
            given = None
            if not state.next or random.random() < self.abandoned_share:
                given = {"messages": [self._typed(session, turns)]}
            try:
                self._run(agent, given, session.config)
            except Exception as error:
                if not is_clear(error):
                    raise
                self.lives.note(error=type(error).__name__)
                attempts -= 1
                # A user who is told no asks again, and not at once.
                time.sleep(random.uniform(*PAUSE_SECONDS))
        return False

    def _run(self, agent: Any, given: Any, config: Any) -> None:
        durability = random.choice(["sync", "async"])
        if random.random() < 0.5:
            agent.invoke(given, config, durability=durability)
            return
        for _ in agent.stream(given, config, durability=durability, stream_mode="messages"):
            self.lives.pass_by()

    def _typed(self, session: Session, turns: int) -> HumanMessage:
        if turns == 0:
            # The same words for everybody: what keeps the answers apart is who asks, and the label.
            return labelled(HumanMessage(f"{STANDS_ALONE}: what is it?"), LABELS[session.label])
        word = random.choice(self._words[session.label])
        return labelled(HumanMessage(f"Question {turns}, about {word}?"), LABELS[session.label])


_CLEAR: Final = frozenset(
    {
        "RateLimitError",
        "InternalServerError",
        "OverloadedError",
        "APIConnectionError",
        "RemoteProtocolError",
        "SessionRouterError",
        "ToolBroke",
    }
)


def is_clear(error: BaseException) -> bool:
    """Whether this is what may come of providers that fail."""
    return bool(_CLEAR & {one.__name__ for one in type(error).__mro__})


def sessions_of(prefix: str) -> Iterator[Session]:
    """Yield sessions, of all kinds in turn."""
    number = 0
    while True:
        door, tenant = DOORS[number % 3], TENANTS[number // 3 % 2]
        label = ("public", "public", "internal", "secret")[number // 6 % 4]
        yield Session(thread=f"{prefix}-{number}", door=door, tenant=tenant, label=label)
        number += 1
