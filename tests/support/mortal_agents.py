"""Agents of LangChain and LangGraph that die at any point, and go on from their checkpoints in another process.

Built once; whoever is to live is forked from there, and told by `Agents.begin` which session it goes on with.
"""

from __future__ import annotations

import asyncio
import random
import secrets
import time
from contextlib import closing
from typing import TYPE_CHECKING, Annotated, Any, Final

from langchain.agents import create_agent
from langchain.tools import ToolRuntime, tool
from langchain_anthropic import ChatAnthropic
from langchain_core.messages import HumanMessage
from langchain_core.runnables import RunnableLambda
from langchain_openai import ChatOpenAI
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.prebuilt import ToolNode

from session_router import ModelSpec, Policy, Prices, Router, SemanticCache
from session_router.cache.redis_rows import RedisEntryRows
from session_router.cache.settings import CacheSettings
from session_router.core.cache_terms import CacheRules
from session_router.core.health import HealthRules
from session_router.stores.redis import RedisSessionStore
from session_router_langchain import SessionRouterChatModel, SessionRouterMiddleware, convert, repair, target_of
from session_router_langchain.tagging import labelled, tagged_tool
from session_router_langgraph import create_router_node
from session_router_langgraph.state import RouterState
from support.agents import THINKING
from support.invariants import Journal
from support.kill_providers import CLEARANCES, LABELS, STANDS_ALONE
from support.mortal import EPOCH, Epoch, Fate, MortalStore
from support.mortal_lives import DOORS, TENANTS, LivesAudit, Looks, MortalCache, Saver, saver_at
from support.replicas import Restless

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from support.mortal_lives import Lives, Session

KEY: Final = b"k" * 32
CHECKPOINTS: Final = "checkpoints.sqlite"
TURNS: Final = 3
TIMEOUT_SECONDS: Final = 1.0
PAUSE_SECONDS: Final = (0.02, 0.2)
BREAKING_SHARE: Final = 0.05
"""Of runs of tools that give nothing."""
ABANDONED_SHARE: Final = 0.25
"""Of loops that nobody goes on with: the user types something else."""


class ToolBroke(Exception):
    """A tool gave nothing, and nobody said what to do then: the run ends."""


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
        self.lives, self._timeout = lives, timeout
        # Its event loop begins with its first run, in whatever process that is; connections outlive runs, and not their loop.
        self._runner = asyncio.Runner()
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

            def answer(state: Any) -> Any:
                return {"messages": [bound[name].invoke(convert(repair(state["messages"]), target))]}

            async def aanswer(state: Any) -> Any:
                return {"messages": [await bound[name].ainvoke(convert(repair(state["messages"]), target))]}

            return RunnableLambda(answer, aanswer)

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

    def close(self) -> None:
        """Close the event loop and all connections, of which nobody else may use any."""
        self._runner.run(self._close_clients())
        self._runner.close()
        self.sessions.close()

    async def _close_clients(self) -> None:
        for spec in self.router.models.values():
            model: Any = spec.model
            await (model.root_async_client if isinstance(model, ChatOpenAI) else model._async_client).close()

    def journal_of(self, session: Session) -> Journal:
        """Return the journal of a session."""
        return Journal(self._folder / f"{session.thread}.jsonl")

    def live(self, session: Session, *, attempts: int) -> bool:
        """Go on with a session until it has all its turns, until death, or until nothing comes of so many attempts.

        Returns:
            Whether it has all its turns.
        """
        saver = saver_at(self._folder / CHECKPOINTS)
        saver.is_setup = True
        # A connection to SQLite must not be open when a process forks: its child would believe in locks that it has not.
        with closing(saver.conn):
            agent = self.agents[session.door, session.tenant]
            agent.checkpointer = saver
            return self._go_on(agent, session, attempts)

    def _go_on(self, agent: Any, session: Session, attempts: int) -> bool:
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
        on_event_loop, streamed = random.random() < 0.5, random.random() < 0.5
        self.lives.note(on_event_loop=on_event_loop)
        if on_event_loop:
            self._runner.run(self._arun(agent, given, config, durability=durability, streamed=streamed))
        elif streamed:
            for _ in agent.stream(given, config, durability=durability, stream_mode="messages"):
                self.lives.pass_by()
        else:
            agent.invoke(given, config, durability=durability)

    async def _arun(self, agent: Any, given: Any, config: Any, *, durability: str, streamed: bool) -> None:
        if streamed:
            async for _ in agent.astream(given, config, durability=durability, stream_mode="messages"):
                self.lives.pass_by()
        else:
            await agent.ainvoke(given, config, durability=durability)

    def _typed(self, session: Session, turns: int) -> HumanMessage:
        if turns == 0 and session.like_others:
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
