"""Talks through every door: agents, the router node, the chat model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

from langchain.agents import create_agent
from langchain.agents.middleware import ModelRetryMiddleware
from langchain.agents.structured_output import ProviderStrategy, ToolStrategy
from langchain_core.messages import AIMessage, HumanMessage, RemoveMessage
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import REMOVE_ALL_MESSAGES, add_messages
from langgraph.prebuilt import ToolNode

from session_router.errors import SessionRouterError
from session_router_langchain import SessionRouterMiddleware
from session_router_langchain.tagging import TAG_KEY, labelled
from session_router_langgraph import create_router_node
from session_router_langgraph.state import RouterState
from support.leak_labels import LABELS
from support.leak_world import READERS, Crash, World

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from langchain_core.messages import BaseMessage

    Scene = Callable[[World], Awaitable[None]]

PUBLIC: Final = ("read_public", "echo")


VERDICT: Final = {
    "title": "Verdict",
    "description": "What a structured answer is.",
    "type": "object",
    "properties": {"words": {"type": "string"}},
    "required": ["words"],
    "additionalProperties": False,
}


def agent(world: World, *middleware: Any, tools: Any = None, router: Any = None, **settings: Any) -> Any:
    """Return an agent behind the world's router."""
    router = router or world.middleware
    tools = world.some_tools() if tools is None else tools
    return create_agent(
        world.clients.openai("nobody"), tools=tools, middleware=[*middleware, router], **{"checkpointer": world.saver, **settings}
    )


async def ask(subject: Any, world: World, message: Any, config: Any) -> Any:
    """Ask an agent, in one of the ways to do so."""
    given = None if message is None else {"messages": [message]}
    world.later()
    way = world.rng.randrange(8)
    if way == 0:
        return subject.invoke(given, config)
    if way in {1, 2}:
        async for _ in subject.astream(given, config, stream_mode="messages"):
            pass
        return None
    return await subject.ainvoke(given, config)


async def loops(world: World) -> None:
    """Tools raise the label in mid-loop, alone and in parallel, behind system prompts with labels."""
    subject, config = agent(world, system_prompt=world.prompt()), world.thread()
    for _ in range(3):
        await tried(ask(subject, world, world.anything(), config))
    await tried(ask(subject, world, world.said(PUBLIC), config))


async def tried(asking: Awaitable[Any]) -> Any:
    """Wait for what may be refused, or fail as providers do."""
    try:
        return await asking
    except (SessionRouterError, Crash):
        return None
    except Exception as error:
        if not is_provider_error(error):
            raise
        return None


def is_provider_error(error: BaseException) -> bool:
    """Whether a simulated provider failed on purpose."""
    names = {one.__name__ for one in type(error).__mro__}
    return bool(names & {"RateLimitError", "InternalServerError", "OverloadedError", "APIConnectionError", "RemoteProtocolError"})


async def chat_model(world: World) -> None:
    """The chat model's own loop, in all the ways to call it."""
    tools = {one.name: one for one in world.some_tools()}
    model, history = world.model.bind_tools(list(tools.values())), [one for one in [world.prompt()] if one is not None]
    config = world.thread() if world.rng.random() < 0.7 else None
    for _ in range(3):
        messages: list[BaseMessage] = [*history, world.anything()]
        for _ in range(4):
            world.later()
            answer = await tried(_answer(model, messages, config, world.rng.randrange(4)))
            if answer is None:
                break
            messages.append(answer)
            if not answer.tool_calls:
                history = messages
                break
            messages += [await tools[call["name"]].ainvoke(call) for call in answer.tool_calls if call["name"] != "crash"]


async def _answer(model: Any, messages: Any, config: Any, way: int) -> Any:
    if way == 0:
        return model.invoke(messages, config)
    if way == 1:
        return _summed([chunk async for chunk in model.astream(messages, config)])
    if way == 2:
        return _summed(list(model.stream(messages, config)))
    return await model.ainvoke(messages, config)


def _summed(chunks: list[Any]) -> Any:
    return sum(chunks[1:], chunks[0])


async def node(world: World) -> None:
    """A router node in a graph of one's own."""
    # What the models answer bears no label here: whatever the tools on offer return counts for it.
    tools = world.some_tools(2)
    bound = {name: world.router.models[name].model.bind_tools(tools) for name in world.router.models}

    def answering(name: str) -> Any:
        async def call(state: Any) -> Any:
            return {"messages": [await bound[name].ainvoke(state["messages"])]}

        return call

    class State(RouterState):
        messages: Annotated[list[Any], add_messages]

    graph: Any = StateGraph(State)
    graph.add_node("route", create_router_node(world.router, destinations={name: name for name in bound}, tools=tools, principal="ada"))
    graph.add_node("tools", ToolNode(tools))
    graph.add_edge(START, "route")
    graph.add_edge("tools", "route")
    for name in bound:
        graph.add_node(name, answering(name))
        graph.add_conditional_edges(name, lambda state: "tools" if state["messages"][-1].tool_calls else END, ["tools", END])
    subject, config = graph.compile(checkpointer=world.saver), world.thread()
    for _ in range(3):
        world.later()
        await tried(subject.ainvoke({"messages": [world.anything()]}, config))


async def summaries(world: World) -> None:
    """Somebody puts a summary without a label in place of the history."""
    subject, config = agent(world, system_prompt=world.prompt()), world.thread()
    for _ in range(2):
        await tried(ask(subject, world, world.anything(), config))
    messages = subject.get_state(config).values.get("messages", [])
    # Of what no model has seen, nobody but the message itself knows the label.
    seen = max((at for at, message in enumerate(messages) if isinstance(message, AIMessage)), default=-1)
    messages = messages[: seen + 1]
    update = {"messages": [RemoveMessage(id=REMOVE_ALL_MESSAGES), world.summary(messages)]}
    subject.update_state(config, update)
    for _ in range(2):
        await tried(ask(subject, world, world.said(PUBLIC), config))


async def structured(world: World) -> None:
    """Answers of a schema, by the provider's own means and by a tool."""
    strategy = world.rng.choice([ToolStrategy, ProviderStrategy])
    subject, config = agent(world, response_format=strategy(VERDICT)), world.thread()
    for _ in range(2):
        await tried(ask(subject, world, world.anything(), config))
    model = world.model.with_structured_output(VERDICT)
    for _ in range(2):
        world.later()
        await tried(model.ainvoke([world.anything(calm=True)]))


async def cached(world: World) -> None:
    """The same few questions, in many sessions: what one brought into the cache, another may be answered with."""
    for _ in range(3):
        config, history = world.thread(), list[Any]()
        for _ in range(2):
            label = world.label()
            question = world.said(label=None, words=world.rng.choice(["What are your hours?", "Who are you?"]))
            marker = world.data.of(label) if world.rng.random() < 0.5 else world.first[label]
            asked = labelled(HumanMessage(f"{question.text.partition('plan')[0]} {marker}"), LABELS[label])
            world.later()
            answer = await tried(_answer(world.model, [*history, asked], config, world.rng.randrange(4)))
            if answer is None:
                continue
            history += [asked, answer]
        # What it read is summed up by somebody who drops the labels.
        if history:
            await tried(_answer(world.model, [world.summary(history), HumanMessage("And?")], config, 3))


async def held(world: World) -> None:
    """The provider holds the conversation: only its id and what is new is sent."""
    config, previous = world.thread(), None
    for _ in range(5):
        message = world.anything(calm=True)
        if world.rng.random() < 0.5:
            message = HumanMessage("And?")
        settings = {} if previous is None else {"previous_response_id": previous}
        # What bears no label of its own is public, says the application. The provider's copy of the history is not its to say.
        run = {**config, "metadata": {TAG_KEY: LABELS["public"]}} if world.rng.random() < 0.7 else config
        world.later()
        answer = await tried(_answer(world.model.bind(**settings), [message], run, world.rng.randrange(4)))
        name = "" if answer is None else str(answer.response_metadata.get("id"))
        previous = name if name.startswith("resp_") else previous


async def retries(world: World) -> None:
    """The framework asks again where a call has failed."""
    subject = agent(world, ModelRetryMiddleware(max_retries=2, initial_delay=0.0, jitter=False))
    config = world.thread()
    for _ in range(2):
        await tried(ask(subject, world, world.anything(), config))


async def crashes(world: World) -> None:
    """The process ends inside a tool; another one goes on from the checkpoint."""
    config = world.thread()
    first = agent(world)
    steps = [[world.rng.choice(READERS)], ["crash", world.rng.choice(READERS)], [world.rng.choice(READERS)]]
    await tried(ask(first, world, world.said(*steps, label=world.label("public", "internal", "pii")), config))
    second = agent(world, router=SessionRouterMiddleware(world.new_router(), principal="ada"))
    await tried(ask(second, world, None, config))
    await tried(ask(second, world, world.said(PUBLIC), config))


SCENES: Final[Mapping[str, Scene]] = {
    "loops": loops,
    "chat model": chat_model,
    "router node": node,
    "summaries": summaries,
    "structured output": structured,
    "cache": cached,
    "held by the provider": held,
    "retries": retries,
    "crashes": crashes,
}
