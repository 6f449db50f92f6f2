"""Agents that work for other agents: called by a tool, handed over to, sent to, told by the code of a graph, in threads of their own."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from langchain.agents import create_agent
from langchain.tools import ToolRuntime, tool
from langchain_core.messages import HumanMessage, ToolMessage
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.types import Command, Send

from session_router_langchain import SessionRouterMiddleware
from session_router_langchain.tagging import tagged_tool
from support.leak_labels import LABELS
from support.leak_scenes import agent, ask, tried
from support.leak_world import READERS

if TYPE_CHECKING:
    from langchain_core.tools import BaseTool

    from support.leak_world import World


def helper_of(world: World, **settings: Any) -> Any:
    """Return an agent of its own, with a middleware of its own."""
    middleware = SessionRouterMiddleware(world.router, principal="ada")
    return create_agent(world.clients.openai("nobody"), tools=world.some_tools(2), middleware=[middleware], **settings)


def asking(world: World) -> BaseTool:
    """Return a tool that lets another agent, or a model by itself, answer."""
    helper, bare = helper_of(world), world.rng.random() < 0.3

    async def ask_helper(note: str) -> str:
        names = [name for name in (tool.name for tool in world.tools) if name.startswith("read_")]
        task = HumanMessage(f"{note} {world.parrot.plan([world.rng.choice(names)], [world.rng.choice(names)])}")
        if bare:
            answer = await world.model.ainvoke([task])
            return str(answer.text)
        result = await helper.ainvoke({"messages": [task]})
        return str(result["messages"][-1].text)

    return tool("ask", description="Ask a helper.")(ask_helper)


async def helpers(world: World) -> None:
    """A tool asks an agent of its own; what that reads comes back as a text."""
    tools = [*world.some_tools(2), asking(world)]
    subject, config = agent(world, tools=tools), world.thread()
    await tried(ask_async(subject, world, world.anything(more=["ask"] * 6), config))
    await tried(ask_async(subject, world, world.said(["read_internal"], ["ask"], label=world.label("public", "pii", "acme")), config))
    await tried(ask_async(subject, world, world.said(["ask"], ["echo"]), config))


async def threads(world: World) -> None:
    """A node, and a tool, start agents and graphs under a `thread_id` of their own, and tell them what was read, without a label."""
    first, kept = agent(world, checkpointer=None), world.rng.random() < 0.5
    second = helper_of(world, checkpointer=world.saver if world.rng.random() < 0.5 else None)
    within: Any = StateGraph(MessagesState)
    within.add_node("second", second)
    within.add_edge(START, "second")
    targets = [second, within.compile(checkpointer=world.saver)]

    async def told(text: str) -> str:
        steps = [[world.rng.choice(READERS)]] if world.rng.random() < 0.5 else []
        messages: Any = [HumanMessage(f"{text[-600:]} {world.parrot.plan(*steps, ['echo'])}")]
        config = world.thread()
        if world.rng.random() < 0.2:
            return str((await world.model.ainvoke(messages, config)).text)
        target = world.rng.choice(targets)
        way = world.rng.randrange(4)
        if way == 0:
            answers = await target.abatch([{"messages": messages}] * 2, [config, world.thread()])
            return " ".join(answer["messages"][-1].text for answer in answers)
        if way == 1:
            answer = await asyncio.to_thread(target.invoke, {"messages": messages}, config)
        elif way == 2:
            async for _ in target.astream({"messages": messages}, config, stream_mode="messages"):
                pass
            return ""
        else:
            answer = await target.ainvoke({"messages": messages}, config)
        return str(answer["messages"][-1].text)

    async def ask(note: str) -> str:
        return await told(note)

    caller = agent(world, tools=[*world.some_tools(2), tool("ask", description="Ask a helper.")(ask)], checkpointer=None)

    async def tell(state: Any) -> Any:
        said = " ".join(message.text for message in state["messages"][-2:])
        # Who only listened to a stream has nothing to tell, and providers refuse a message without a word.
        return {"messages": [HumanMessage(await told(said) or "It was said aloud.")]}

    def spread(state: Any) -> Any:
        return [Send("tell", state) for _ in range(world.rng.choice([1, 2]))]

    graph: Any = StateGraph(MessagesState)
    graph.add_node("first", caller if world.rng.random() < 0.5 else first)
    graph.add_node("tell", tell)
    graph.add_node("last", helper_of(world))
    graph.add_edge(START, "first")
    graph.add_conditional_edges("first", spread, ["tell"])
    graph.add_edge("tell", "last")
    subject, config = graph.compile(checkpointer=world.saver if kept else None), world.thread() if kept else None
    label = world.label()
    await tried(ask_async(subject, world, world.said([f"read_{world.label()}"], ["ask"], label=label), config))
    await tried(ask_async(subject, world, world.said(["ask"]), config))


async def ask_async(subject: Any, world: World, message: Any, config: Any) -> Any:
    """Ask an agent whose tools are coroutines."""
    world.later()
    return await subject.ainvoke({"messages": [message]}, config)


async def handoffs(world: World) -> None:
    """An agent hands over to another one, or sends it a task, in words of its own and without a label."""

    @tagged_tool(tag=LABELS["public"])
    @tool
    def hand_over(note: str, runtime: ToolRuntime) -> Any:
        """Hand over."""
        done = ToolMessage("handed over", tool_call_id=runtime.tool_call_id, name="hand_over")
        task = HumanMessage(f"{note} {world.parrot.plan(['read_public'], ['echo'])}")
        if world.rng.random() < 0.5:
            return Command(goto=[Send("second", {"messages": [task]})], graph=Command.PARENT)
        asked = runtime.state["messages"][-1] if world.rng.random() < 0.5 else None
        told = [task] if asked is None else [*runtime.state["messages"], done, task]
        return Command(goto="second", graph=Command.PARENT, update={"messages": told})

    first = agent(world, tools=[*world.some_tools(2), hand_over], checkpointer=None)
    second = helper_of(world)
    graph: Any = StateGraph(MessagesState)
    graph.add_node("first", first, destinations=("second",))
    graph.add_node("second", second)
    graph.add_edge(START, "first")
    graph.add_edge("second", END)
    subject, config = graph.compile(checkpointer=world.saver), world.thread()
    label = world.label()
    await tried(ask(subject, world, world.said([f"read_{world.label()}", "read_internal"], ["hand_over"], label=label), config))
    await tried(ask(subject, world, world.said(["hand_over"]), config))


async def graphs(world: World) -> None:
    """A graph's own code puts what one agent said into a message for the next one, and drops the label; it keeps the text, too."""
    first = agent(world, checkpointer=None)
    second = helper_of(world)

    def copied(state: Any) -> HumanMessage:
        told = " ".join(message.text for message in state["messages"][-2:])
        steps = ["read_public"] if world.rng.random() < 0.5 else []
        return HumanMessage(f"{told[-600:]} {world.parrot.plan(steps, ['echo'])}")

    async def ask(state: Any) -> Any:
        task = copied(state)
        if world.rng.random() < 0.5:
            return {"messages": [HumanMessage((await world.model.ainvoke([task])).text)]}
        result = await second.ainvoke({"messages": [task]})
        return {"messages": [HumanMessage(result["messages"][-1].text)]}

    def hand_over(state: Any) -> Any:
        if world.rng.random() < 0.5:
            return Command(goto="second", update={"messages": [copied(state)]})
        return Command(goto=[Send("second", {"messages": [copied(state)]}) for _ in range(2)])

    graph: Any = StateGraph(MessagesState)
    graph.add_node("first", first)
    graph.add_node("ask", ask)
    graph.add_node("hand_over", hand_over, destinations=("second",))
    graph.add_node("second", second)
    graph.add_edge("first", "hand_over")
    graph.add_edge("ask", END)
    graph.add_edge("second", END)
    graph.add_conditional_edges(START, lambda state: "ask" if len(state["messages"]) > 1 else "first", ["first", "ask"])
    subject, config = graph.compile(checkpointer=world.saver), world.thread()
    label = world.label()
    await tried(ask_async(subject, world, world.said([f"read_{world.label()}"], label=label), config))
    await tried(ask_async(subject, world, world.said(), config))
