"""What was ordered goes wrong, and nothing else does."""

# ruff: noqa: ANN001, ANN201, ANN202 -- fixtures and cases say what they are

import time

import anthropic
import httpx
import openai
import pytest
from langchain_anthropic import ChatAnthropic
from langchain_openai import ChatOpenAI

from session_router.testing.providers import Fault, Faults

TOOL = {
    "type": "function",
    "function": {"name": "add", "parameters": {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}},
}


@pytest.fixture
def chat(served):
    return ChatOpenAI(model="sim-fast", base_url=served.openai_base_url, api_key="k", max_retries=0)


@pytest.fixture
def claude(served):
    return ChatAnthropic(model="sim-claude", base_url=served.anthropic_base_url, api_key="k", max_retries=0)


def test_rate_limits_and_overloads_speak_as_the_providers_do(call):
    faults = call.providers.faults
    user = [{"role": "user", "content": "hello"}]
    expected = {"chat": (503, "server_error"), "responses": (503, "server_error"), "messages": (529, "overloaded_error")}
    for api, (status, kind) in expected.items():
        body = {"input": user} if api == "responses" else {"messages": user}
        faults.next(Fault.rate_limited(retry_after=2))
        faults.next(Fault.overloaded())
        limited, overloaded = call(api, **body), call(api, **body)
        assert (limited.status_code, limited.headers["retry-after"]) == (429, "2")
        assert (overloaded.status_code, overloaded.json()["error"]["type"]) == (status, kind)
        assert "retry-after" not in overloaded.headers
        call.ok(api, **body)
    assert call.providers.ledger.client_errors == 3
    assert call.providers.ledger.bad_requests == 0


def test_clients_retry_what_can_be_retried(served):
    chat = ChatOpenAI(model="sim-fast", base_url=served.openai_base_url, api_key="k", max_retries=2)
    served.faults.next(Fault.rate_limited(retry_after=0.01), model="sim-fast", times=2)
    assert chat.invoke("hello").text == "You said: hello"


def test_a_slow_answer_waits(served, chat):
    served.faults.next(Fault.slow(0.15))
    begun = time.monotonic()
    chat.invoke("hello")
    assert time.monotonic() - begun >= 0.15


def collect(stream):
    """What arrived, and what ended it."""
    seen = []
    try:
        for chunk in stream:
            seen.append(chunk)  # noqa: PERF402 -- what came before the error counts
    except Exception as error:  # noqa: BLE001 -- any error is a result here
        return seen, error
    return seen, None


@pytest.mark.parametrize("name", ["chat", "claude"])
def test_a_stream_breaks_before_its_first_token(served, name, request):
    model = request.getfixturevalue(name)
    served.faults.next(Fault.broken())
    seen, error = collect(model.stream("hello"))
    assert "".join(chunk.text for chunk in seen) == ""
    assert error is not None
    assert served.ledger.rows[-1].error_type == "stream_broken"
    assert served.ledger.rows[-1].output == 0


@pytest.mark.parametrize("name", ["chat", "claude"])
def test_a_stream_breaks_after_some_text(served, name, request):
    model = request.getfixturevalue(name)
    served.faults.next(Fault.broken("after_text", text_deltas=2))
    seen, error = collect(model.stream("hello there, how are you?"))
    assert "".join(chunk.text for chunk in seen) == "You said: hello there, h"  # two deltas of twelve characters
    assert error is not None


@pytest.mark.parametrize("name", ["chat", "claude"])
def test_a_stream_breaks_inside_a_tool_call(served, name, request):
    model = request.getfixturevalue(name).bind_tools([TOOL])
    served.faults.next(Fault.broken("in_tool_call"))
    seen, error = collect(model.stream("add 123456789012345"))
    assert any(chunk.tool_call_chunks for chunk in seen)
    assert all(chunk.chunk_position != "last" for chunk in seen)
    assert error is not None


def test_the_responses_stream_breaks_too(served):
    model = ChatOpenAI(model="sim-fast", base_url=served.openai_base_url, api_key="k", max_retries=0, use_responses_api=True)
    for fault in (Fault.broken(), Fault.broken("after_text"), Fault.broken("in_tool_call")):
        served.faults.next(fault)
        assert collect(model.stream("hello"))[1] is not None
    assert collect(model.stream("hello"))[1] is None


def test_an_answer_without_a_stream_loses_its_body(served, chat, claude):
    served.faults.next(Fault.broken(), times=2)
    with pytest.raises((openai.APIConnectionError, httpx.HTTPError)):
        chat.invoke("hello")
    with pytest.raises((anthropic.APIConnectionError, httpx.HTTPError)):
        claude.invoke("hello")


def test_faults_hit_their_model_and_are_used_up():
    faults = Faults()
    faults.next(Fault.overloaded(), model="a", times=2)
    assert faults.take("b") is None
    assert [faults.take("a") is not None for _ in range(3)] == [True, True, False]
    faults.next(Fault.overloaded())
    faults.clear()
    assert faults.take("a") is None


def test_drawn_faults_are_the_same_for_the_same_seed():
    def drawn(seed):
        faults = Faults(seed=seed)
        faults.sometimes(Fault.overloaded(), probability=0.3, model="a")
        assert faults.take("b") is None
        return [faults.take("a") is not None for _ in range(400)]

    assert drawn(1) == drawn(1) != drawn(2)
    assert 80 <= sum(drawn(1)) <= 160
    with pytest.raises(ValueError, match=r"must be in \[0, 1\]"):
        Faults().sometimes(Fault.overloaded(), probability=1.5)
