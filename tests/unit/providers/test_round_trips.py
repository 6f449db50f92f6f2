"""Real clients talk to the simulators, and break no rule."""

# ruff: noqa: ANN001, ANN201 -- fixtures and cases say what they are

import threading
import time

import anthropic
import httpx
import openai
import pytest
from langchain_anthropic import ChatAnthropic
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI

from session_router.testing.providers import Reply, ScriptedBehaviour, SimulatedModel, SimulatedProviders, ToolCall, WebSearch, serve


@tool
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@tool
def lookup(word: str) -> str:
    """Look a word up."""
    return f"{word}: a word"


TOOLS = {"add": add, "lookup": lookup}


def several_steps(prompt):
    """Two parallel calls, then one, then an answer; thinking where the request wants it."""
    if prompt.call_number == 0:
        calls = (ToolCall(name="add", arguments={"a": 1, "b": 22_222_222_222}), ToolCall(name="lookup", arguments={"word": '你好 "q"'}))
        return Reply(text="Let me see.", thinking="I need two tools at once.", tool_calls=calls)
    if prompt.call_number == 1:
        return Reply(tool_calls=(ToolCall(name="lookup", arguments={"word": "x"}),))
    return Reply(text="All done: " + ", ".join(result.text for result in prompt.pending_results))


@pytest.fixture(scope="module")
def looping():
    names = {"sim-loop": "openai", "sim-claude-loop": "anthropic", "sim-claude-other": "anthropic"}
    with serve([SimulatedModel(id=name, provider=provider, behaviour=several_steps) for name, provider in names.items()]) as providers:
        yield providers


def clients(served):
    openai_settings = {"model": "sim-loop", "base_url": served.openai_base_url, "api_key": "k", "max_retries": 0}
    claude_settings = {"base_url": served.anthropic_base_url, "api_key": "k", "max_retries": 0, "max_tokens": 4096}
    thinking = {"type": "enabled", "budget_tokens": 1024}
    return {
        "chat": ChatOpenAI(**openai_settings, stream_usage=True),
        "responses": ChatOpenAI(**openai_settings, use_responses_api=True),
        "responses with reasoning": ChatOpenAI(**openai_settings, use_responses_api=True, reasoning={"effort": "low", "summary": "auto"}),
        "responses by id": ChatOpenAI(**openai_settings, use_responses_api=True, use_previous_response_id=True),
        "responses unstored": ChatOpenAI(
            **openai_settings, use_responses_api=True, store=False, reasoning={"effort": "low"}, include=["reasoning.encrypted_content"]
        ),
        "messages": ChatAnthropic(model="sim-claude-loop", **claude_settings),
        "messages with thinking": ChatAnthropic(model="sim-claude-loop", **claude_settings, thinking=thinking),
    }


NAMES = list(clients(type("Nowhere", (), {"openai_base_url": "http://x", "anthropic_base_url": "http://x"})))


def whole(model, history, *, streamed):
    if not streamed:
        return model.invoke(history)
    chunks = list(model.stream(history))
    total = chunks[0]
    for chunk in chunks[1:]:
        total += chunk
    return total


def run_turn(model, history, *, streamed):
    """Run one tool loop to its end; adds to `history`."""
    for _ in range(10):
        answer = whole(model, history, streamed=streamed)
        history.append(answer)
        if not answer.tool_calls:
            return answer
        history.extend(TOOLS[call["name"]].invoke(call) for call in answer.tool_calls)
    pytest.fail("the loop does not end")


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_long_tool_loops_break_no_rule(looping, name, streamed):
    model = clients(looping)[name].bind_tools(list(TOOLS.values()))
    looping.ledger.clear()
    history = [HumanMessage("first turn")]
    first = run_turn(model, history, streamed=streamed)
    history.append(HumanMessage("second turn"))
    second = run_turn(model, history, streamed=streamed)
    assert first.text == second.text == "All done: x: a word"
    assert [row.status for row in looping.ledger.rows] == [200] * 6
    assert looping.ledger.client_errors == 0
    calls = history[1].tool_calls
    assert [call["args"] for call in calls] == [{"a": 1, "b": 22_222_222_222}, {"word": '你好 "q"'}]


@pytest.mark.parametrize("name", NAMES)
def test_a_stream_says_what_the_whole_answer_says(looping, name):
    model = clients(looping)[name].bind_tools(list(TOOLS.values()))
    one, other = (whole(model, [HumanMessage("a turn")], streamed=streamed) for streamed in (False, True))
    assert one.text == other.text
    assert [(call["name"], call["args"]) for call in one.tool_calls] == [(call["name"], call["args"]) for call in other.tool_calls]
    assert [block["type"] for block in one.content_blocks] == [block["type"] for block in other.content_blocks]
    for figure in ("input_tokens", "output_tokens", "total_tokens"):
        assert one.usage_metadata[figure] == other.usage_metadata[figure]
    assert one.response_metadata["model_name"] == other.response_metadata["model_name"]


def test_thinking_does_not_survive_a_switch_of_models(looping):
    model = clients(looping)["messages with thinking"]
    history = [HumanMessage("a turn")]
    run_turn(model.bind_tools(list(TOOLS.values())), history, streamed=False)
    other = model.model_copy(update={"model": "sim-claude-other"})
    with pytest.raises(anthropic.BadRequestError, match=r"messages\.1\.content\.0: Invalid `signature` in `thinking` block"):
        other.invoke([*history, HumanMessage("go on")])


def test_a_paused_search_is_resumed():
    script = {"otters": [Reply(text="Searching.", pause=True, searches=(WebSearch(query="otters"),)), "Otters swim."]}
    with serve([SimulatedModel(id="sim-claude", provider="anthropic", behaviour=ScriptedBehaviour(script))]) as providers:
        claude = ChatAnthropic(model="sim-claude", base_url=providers.anthropic_base_url, api_key="k", max_retries=0)
        searcher = claude.bind_tools([{"type": "web_search_20250305", "name": "web_search"}])
        for streamed in (False, True):
            history = [HumanMessage("about otters")]
            history.append(whole(searcher, history, streamed=streamed))
            assert history[1].response_metadata["stop_reason"] == "pause_turn"
            history.append(whole(searcher, history, streamed=streamed))
            assert history[2].text == "Otters swim."
        assert providers.ledger.client_errors == 0


def test_openai_errors_reach_the_client_as_the_sdk_knows_them(looping):
    model = clients(looping)["chat"]
    with pytest.raises(openai.BadRequestError, match="must be followed by tool messages") as caught:
        model.invoke([HumanMessage("x"), AIMessage("", tool_calls=[{"name": "add", "args": {}, "id": "c"}])])
    assert caught.value.body["type"] == "invalid_request_error"
    with pytest.raises(openai.NotFoundError):
        model.invoke("x", model="absent")


def test_usage_comes_only_where_it_is_asked_for(looping):
    quiet = clients(looping)["chat"].model_copy(update={"stream_usage": False})
    assert all(chunk.usage_metadata is None for chunk in quiet.stream("x"))


async def test_asynchronous_clients_work_too(looping):
    for name in ("chat", "messages"):
        model = clients(looping)[name].bind_tools(list(TOOLS.values()))
        assert (await model.ainvoke("x")).tool_calls
        chunks = [chunk async for chunk in model.astream("x")]
        assert chunks[-1].chunk_position == "last"


async def test_the_application_runs_without_a_socket():
    providers = SimulatedProviders([SimulatedModel(id="sim-fast", provider="openai")])
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=providers.asgi_app), base_url="http://x/openai/v1") as client:
        body = {"model": "sim-fast", "stream": True, "messages": [{"role": "user", "content": "hi"}]}
        answer = await client.post("/chat/completions", json=body, headers={"authorization": "Bearer k"})
    lines = [line for line in answer.text.splitlines() if line]
    assert lines[-1] == "data: [DONE]"
    assert all(line.startswith("data: ") for line in lines)


def test_servers_start_fast_and_leave_nothing_behind():
    before = set(threading.enumerate())
    for _ in range(3):
        begun = time.monotonic()
        with serve([SimulatedModel(id="sim-fast", provider="openai")]) as providers:
            assert time.monotonic() - begun < 1.0  # 0.03 s on an idle machine
            httpx.post(f"{providers.openai_base_url}/chat/completions", json={})
        assert set(threading.enumerate()) == before
    with pytest.raises(httpx.ConnectError):
        httpx.post(f"{providers.openai_base_url}/chat/completions", json={})


def test_a_server_stops_under_waiting_clients():
    from session_router.testing.providers import Fault

    with serve([SimulatedModel(id="sim-fast", provider="openai")]) as providers:
        providers.faults.next(Fault.slow(30))
        chat = ChatOpenAI(model="sim-fast", base_url=providers.openai_base_url, api_key="k", timeout=0.2, max_retries=0)
        with pytest.raises(openai.APITimeoutError):
            chat.invoke("x")


def test_ids_are_unique_and_the_same_in_every_run(call):
    body = {"messages": [{"role": "user", "content": "hi"}]}
    ids = [call.ok("chat", **body)["id"] for _ in range(50)]
    assert len(set(ids)) == 50
    again = type(call)(SimulatedProviders([SimulatedModel(id="sim-fast", provider="openai")]))
    assert again.ok("chat", **body)["id"] == ids[0]


def test_models_have_names_of_their_own():
    twins = [SimulatedModel(id="a", provider="openai"), SimulatedModel(id="b", provider="openai", dated_id="a")]
    with pytest.raises(ValueError, match="two models are called 'a'"):
        SimulatedProviders(twins)


def test_known_keys_only_where_accounts_are_given():
    with serve([SimulatedModel(id="sim-fast", provider="openai")], accounts={"key-1": "one"}) as served:
        for key, fails in (("key-1", False), ("key-9", True)):
            chat = ChatOpenAI(model="sim-fast", base_url=served.openai_base_url, api_key=key, max_retries=0)
            if fails:
                with pytest.raises(openai.AuthenticationError, match="Incorrect API key provided"):
                    chat.invoke("x")
            else:
                chat.invoke("x")
        assert [row.account for row in served.ledger.rows] == ["one", ""]
