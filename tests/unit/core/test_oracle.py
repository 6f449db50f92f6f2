"""The oracle itself: what it says of each row, and that it owes nothing to what it judges."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest

import oracle.verdict
from oracle.reader import step_of
from oracle.verdict import danger
from session_router.core.boundary import find_lock
from session_router.core.transcript import Transcript

Messages = list[dict[str, Any]]
USER, NOTE = {"role": "user", "content": "hi"}, {"role": "user", "content": "note", "injected": True}
FINAL = {"role": "assistant", "content": "done", "model": "fast"}
APPROVED = {"role": "user", "content": [{"type": "mcp_approval_response", "approval_request_id": "m"}]}
SEARCHED = {"type": "web_search_tool_result", "tool_use_id": "s"}


def asks(*names: str, **fields: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": None, "model": "fast", "tool_calls": [{"id": name} for name in names], **fields}


def says(*blocks: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": list(blocks), "model": "fast", **fields}


def result(name: str) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": name, "content": "rows"}


INVALID = {"role": "assistant", "content": "", "model": "fast", "invalid_tool_calls": [{"id": "a"}]}

ROWS: list[tuple[Messages, str | None]] = [
    ([], None),
    ([USER], None),
    ([USER, FINAL, USER], None),
    ([USER, asks("a")], "calls without results"),
    ([USER, asks("a", "b"), result("b")], "calls without results"),
    ([USER, asks("a"), result("a")], "results that no model has read"),
    ([USER, asks("a"), result("a"), NOTE], "results that no model has read"),
    ([USER, asks("a"), result("a"), FINAL], None),
    ([USER, asks("a"), USER], None),
    ([USER, asks("a"), result("a"), USER], None),
    ([USER, asks("a"), USER, result("a")], "results after the last human message"),
    ([USER, result("a")], "results after the last human message"),
    ([result("a")], "results nobody asked for"),
    ([FINAL, result("a")], "results nobody asked for"),
    ([USER, INVALID], "invalid calls, not repaired"),
    ([USER, INVALID, USER], "invalid calls, not repaired"),
    ([USER, INVALID, result("a")], None),
    ([USER, says({"type": "computer_call", "call_id": "c"})], "calls without results"),
    ([USER, says({"type": "mcp_approval_request", "id": "m"}), APPROVED], "results that no model has read"),
    ([USER, says({"type": "server_tool_use", "id": "s"}, stop_reason="pause_turn")], "calls without results"),
    ([USER, says({"type": "server_tool_use", "id": "s"}, SEARCHED)], None),
    ([USER, says(stop_reason="pause_turn")], "a paused turn"),
    ([USER, {**FINAL, "chunk": True}], "a message that is still streaming"),
]


@pytest.mark.parametrize(("messages", "expected"), ROWS)
def test_each_row(messages: Messages, expected: str | None) -> None:
    assert danger(messages) == expected


@pytest.mark.parametrize(("messages", "expected"), ROWS)
def test_the_core_agrees_on_each_row(messages: Messages, expected: str | None) -> None:
    lock = find_lock(Transcript().extended([step_of(message) for message in messages]))
    assert (lock is None) is (expected is None)


def test_another_agent_s_calls_are_no_danger_to_this_one() -> None:
    messages = [USER, asks("t", name="supervisor"), result("t")]
    assert danger(messages, agent="supervisor") == "results that no model has read"
    assert danger(messages, agent="worker") is None


def test_it_imports_nothing_that_it_judges() -> None:
    imported: set[str] = set()
    for node in ast.walk(ast.parse(Path(oracle.verdict.__file__).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add(node.module or "")
    assert imported == {"__future__", "typing", "collections.abc"}
