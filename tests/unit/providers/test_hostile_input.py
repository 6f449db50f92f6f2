"""Whatever comes in, the answer is a provider's answer: 200 or 4xx, never a crash."""

# ruff: noqa: ANN001, ANN201, ANN202 -- fixtures and cases say what they are

import json
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from session_router.testing.providers import SimulatedProviders

NAMES = (
    "role content type text id tool_calls tool_call_id tool_use_id call_id name input output arguments function signature thinking data "
    "summary cache_control source"
)
from_wire = st.sampled_from(NAMES.split())
TYPES = (
    "user assistant tool system message text thinking tool_use tool_result server_tool_use web_search_tool_result redacted_thinking "
    "function_call function_call_output reasoning computer_call item_reference input_text output_text image ephemeral x"
)
words = st.sampled_from(TYPES.split())
values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-5, 5000), words, st.text(max_size=5)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(from_wire, inner, max_size=5)),
    max_leaves=12,
)
messages = st.lists(
    st.one_of(
        values, st.fixed_dictionaries({"role": words, "content": st.one_of(st.just("hi"), st.lists(st.dictionaries(from_wire, values)))})
    ),
    max_size=4,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=80)
@given(
    st.sampled_from(["chat", "responses", "messages"]),
    messages,
    st.dictionaries(
        st.sampled_from(
            ["tools", "tool_choice", "system", "thinking", "response_format", "text", "reasoning", "stream", "temperature", "max_tokens"]
        ),
        values,
        max_size=2,
    ),
)
def test_random_requests_never_crash(call, api, sent, extra):
    body = {"input": sent} if api == "responses" else {"messages": sent}
    answer = call(api, **{**body, **extra})
    assert answer.status_code in {200, 400, 404}
    if answer.status_code != 200:
        assert answer.json()["error"]["message"]


@pytest.mark.parametrize("api", ["chat", "responses", "messages"])
def test_odd_unicode_comes_back(call, api):
    odd = "\ud800 \x00 \u202e 你好"
    body = {"input": odd} if api == "responses" else {"messages": [{"role": "user", "content": odd}]}
    answer = call.ok(api, **body)
    assert json.dumps(odd)[1:-1] in json.dumps(answer)


@pytest.mark.parametrize("content", [{"a": 1}, 7, [7], [[]], [None], True])
@pytest.mark.parametrize("api", ["chat", "responses", "messages"])
def test_content_of_the_wrong_kind_is_refused(call, api, content):
    sent = [{"role": "user", "content": content}]
    call.refused(api, **({"input": sent} if api == "responses" else {"messages": sent}))


def test_ten_megabytes_take_bounded_time(call):
    begun = time.monotonic()
    error = call.refused("chat", messages=[{"role": "user", "content": "x" * 10_000_000}])
    assert error["code"] == "context_length_exceeded"
    assert time.monotonic() - begun < 5


def test_providers_of_different_seeds_do_not_share_seals(call):
    other = type(call)(SimulatedProviders(list(_models()), seed="1"))
    user = {"role": "user", "content": "hello"}
    thinking = {"type": "enabled", "budget_tokens": 1024}
    content = call.ok("messages", messages=[user], thinking=thinking)["content"]
    other.refused("messages", messages=[user, {"role": "assistant", "content": content}, user])


def _models():
    from session_router.testing.providers import SimulatedModel

    yield SimulatedModel(id="sim-claude", provider="anthropic")
