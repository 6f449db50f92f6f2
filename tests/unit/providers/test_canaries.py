"""Whatever reaches a model that may not see it is found, wherever in the request it stands."""

# ruff: noqa: ANN001, ANN201 -- fixtures say what they are

import pytest

from session_router.core.governance import Clearance, Level, Tag
from session_router.testing.providers import Canaries, Fault, SimulatedProviders

from .conftest import Caller, models

PII = Tag(level=Level.CONFIDENTIAL, categories=frozenset({"pii"}))
CLEARED = Clearance(max_level=Level.CONFIDENTIAL, categories=frozenset({"pii"}), tenants=None)
USER = {"role": "user", "content": "hello"}


@pytest.fixture
def canaries() -> Canaries:
    return Canaries({"sim-strong": CLEARED, "sim-claude-2": CLEARED, "sim-fast": Clearance(), "sim-claude": Clearance()})


@pytest.fixture
def call(canaries) -> Caller:
    return Caller(SimulatedProviders(models(), canaries=canaries))


def test_a_cleared_model_may_see_it(call, canaries):
    marker = canaries.marker(PII)
    assert call("chat", model="sim-strong", messages=[{"role": "user", "content": marker}]).status_code == 200
    assert call("messages", model="sim-claude-2", messages=[{"role": "user", "content": marker}]).status_code == 200
    assert call("chat", messages=[USER]).status_code == 200
    assert (canaries.leaks, canaries.requests, canaries.marked) == ((), 3, 2)


def test_another_may_not_wherever_it_stands(call, canaries):
    marker = canaries.marker(PII)
    told = f"before {marker} after"
    tool = {"type": "function", "function": {"name": "add", "description": told, "parameters": {"type": "object"}}}
    asked = {"id": "c", "type": "function", "function": {"name": "add", "arguments": f'{{"a": "{marker}"}}'}}
    requests = [
        ("chat", {"messages": [{"role": "system", "content": told}, USER]}),
        ("chat", {"messages": [USER], "tools": [tool]}),
        ("chat", {"messages": [USER, {"role": "assistant", "tool_calls": [asked]}, {"role": "tool", "tool_call_id": "c", "content": "7"}]}),
        ("chat", {"messages": [{"role": "user", "content": [{"type": "text", "text": told}]}], "stream": True}),
        ("responses", {"input": told}),
        ("messages", {"messages": [USER], "system": [{"type": "text", "text": told}]}),
        ("chat", {"messages": [USER], "metadata": {marker: "x"}}),
    ]
    for count, (api, body) in enumerate(requests, start=1):
        call(api, **body)
        assert len(canaries.leaks) == count, (api, body)
    assert {(leak.model, leak.markers, leak.rule) for leak in canaries.leaks} == {
        (model, (marker,), "level confidential is above its public") for model in ("sim-fast", "sim-claude")
    }


def test_what_was_refused_was_sent(call, canaries):
    marker = canaries.marker(PII)
    call.providers.faults.next(Fault.rate_limited(), model="sim-fast")
    for body in ({"messages": [{"role": "user", "content": marker}]}, {"messages": marker}, {"model": "nobody", "messages": marker}):
        assert call("chat", **body).status_code >= 400
    assert [leak.model for leak in canaries.leaks] == ["sim-fast", "sim-fast", "nobody"]


def test_what_the_provider_holds_is_seen_by_who_refers_to_it(call, canaries):
    marker = canaries.marker(PII)
    stored = call("responses", model="sim-strong", input=marker).json()
    assert canaries.leaks == ()
    call("responses", model="sim-strong", input="and?", previous_response_id=stored["id"])
    assert canaries.leaks == ()
    call("responses", input="and?", previous_response_id=stored["id"])
    assert [leak.model for leak in canaries.leaks] == ["sim-fast"]


def test_labels_that_may_not_come_together_leak_together(call, canaries):
    ours, theirs = (canaries.marker(Tag(tenants=frozenset({tenant}))) for tenant in ("acme", "globex"))
    for content in (ours, theirs):
        call("chat", model="sim-strong", messages=[{"role": "user", "content": content}])
    assert canaries.leaks == ()
    call("chat", model="sim-strong", messages=[{"role": "user", "content": f"{ours} {theirs}"}])
    (leak,) = canaries.leaks
    assert leak.markers == tuple(sorted((ours, theirs)))
    assert leak.rule == "the data of several tenants came together"


def test_a_word_that_nobody_made_is_no_marker(call, canaries):
    call("chat", messages=[{"role": "user", "content": "canary-0123456789abcdef"}])
    assert (canaries.leaks, canaries.marked) == ((), 0)
