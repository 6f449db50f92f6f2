from __future__ import annotations

import errno
import gzip
import json
import os
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import pytest

from session_router.core.boundary import LockKind, find_lock
from session_router.core.model import Capability
from session_router.core.pricing import Usage
from session_router.core.step import AskKind, Role
from session_router.core.transcript import Transcript
from session_router.errors import RecordingError
from session_router.recordings import Recording, SessionFile, recording_from_openai

if TYPE_CHECKING:
    from pathlib import Path


def call(arguments: object = "{}", name: str = "look_up", id_: str = "c1") -> dict[str, Any]:
    return {"id": id_, "type": "function", "function": {"name": name, "arguments": arguments}}


def session(*messages: Any, **fields: Any) -> dict[str, Any]:
    return {"session_id": "s", "messages": list(messages), **fields}


USER = {"role": "user", "content": "hello there"}
ASKS = {"role": "assistant", "content": None, "tool_calls": [call()]}
RESULT = {"role": "tool", "tool_call_id": "c1", "content": "found"}
ANSWER = {"role": "assistant", "content": "done"}


def test_a_session_is_read_as_routing_sees_it() -> None:
    read = recording_from_openai(
        session({"role": "system", "content": "be brief"}, USER, ASKS, RESULT, ANSWER, source="here", model="gpt", turn_usage={
            "2": {"prompt_tokens": 90, "completion_tokens": 7, "cost": 0.1}, "4": None}),
        line=3,
    )  # fmt: skip
    steps = [message.step for message in read.messages]
    assert [step.role for step in steps] == [Role.SYSTEM, Role.HUMAN, Role.AI, Role.TOOL, Role.AI]
    assert [(ask.id, ask.kind) for ask in steps[2].asks] == [("c1", AskKind.TOOL_CALL)]
    assert steps[3].answers == ("c1",)
    assert all(step.author is None for step in steps)
    assert [message.text for message in read.messages] == ["", "hello there", "", "", ""]
    assert [message.usage for message in read.messages] == [None, None, Usage(input=90, output=7), None, None]
    assert (read.source, read.model, read.tools, read.line) == ("here", "gpt", 1, 3)


@pytest.mark.parametrize(("text", "tokens"), [("", 0), ("a", 1), ("abcd", 1), ("abcde", 2), ("x" * 400, 100)])
def test_tokens_are_a_quarter_of_the_characters_rounded_up(text: str, tokens: int) -> None:
    assert recording_from_openai(session({"role": "user", "content": text})).messages[0].step.tokens == tokens


@pytest.mark.parametrize(
    ("arguments", "kind"),
    [
        ('{"a": 1}', AskKind.TOOL_CALL),
        ("", AskKind.TOOL_CALL),
        (None, AskKind.TOOL_CALL),
        ({"a": 1}, AskKind.TOOL_CALL),
        ('{"a": 1', AskKind.INVALID_CALL),
        ("[1]", AskKind.INVALID_CALL),
        (7, AskKind.INVALID_CALL),
    ],
)
def test_arguments_that_no_framework_could_run_are_invalid_calls(arguments: object, kind: AskKind) -> None:
    read = recording_from_openai(session(USER, {"role": "assistant", "content": "", "tool_calls": [call(arguments)]}))
    assert [ask.kind for ask in read.messages[1].step.asks] == [kind]


def test_what_is_read_locks_as_it_should() -> None:
    read = recording_from_openai(session(USER, ASKS, RESULT, ANSWER))
    steps = [message.step for message in read.messages]
    kinds = [find_lock(Transcript().extended(steps[:end])) for end in range(1, 5)]
    assert [lock and lock.kind for lock in kinds] == [None, LockKind.TOOL_CALLS_UNANSWERED, LockKind.TOOL_RESULTS_UNREAD, None]


def test_parts_are_text_media_and_needs() -> None:
    parts = [{"type": "text", "text": "see"}, {"type": "image_url", "image_url": {"url": "data:" + "x" * 9000}}]
    one = recording_from_openai(session({"role": "user", "content": parts})).messages[0]
    assert one.text == "see"
    assert one.step.needs == {Capability.IMAGES}
    assert one.step.tokens < 200


def test_different_messages_have_different_digests() -> None:
    messages = [
        USER,
        {"role": "user", "content": "hello there!"},
        {"role": "developer", "content": "hello there"},
        {"role": "assistant", "content": "hello there"},
        {"role": "assistant", "content": "hello there", "tool_calls": [call()]},
        {"role": "assistant", "content": "hello there", "tool_calls": [call('{"a": 1}')]},
        {"role": "user", "content": [{"type": "text", "text": "hello there"}, {"type": "image_url", "image_url": {"url": "a"}}]},
        {"role": "user", "content": [{"type": "text", "text": "hello there"}, {"type": "image_url", "image_url": {"url": "b"}}]},
    ]
    digests = [recording_from_openai(session(message)).messages[0].step.digest for message in messages]
    assert len(set(digests)) == len(digests)
    assert digests[0] == recording_from_openai(session(dict(USER))).messages[0].step.digest


@pytest.mark.parametrize(
    ("recorded", "place", "told"),
    [
        ({"messages": [USER]}, "session_id", "missing"),
        ({"session_id": "s"}, "messages", "missing"),
        (session(), "messages", "empty"),
        (session("hello"), "messages.0", "expected an object, found text"),
        (session({"content": "x"}), "messages.0.role", "missing"),
        (session({"role": "robot", "content": "x"}), "messages.0.role", "'robot'"),
        (session({"role": "user"}), "messages.0.content", "missing"),
        (session({"role": "user", "content": None}), "messages.0.content", "found null"),
        (session({"role": "user", "content": [{"type": "video"}]}), "messages.0.content.0.type", "'video'"),
        (session({"role": "user", "content": [{"type": "text"}]}), "messages.0.content.0.text", "missing"),
        (session(USER, RESULT), "messages.1.tool_call_id", "answers no call"),
        (session(USER, ASKS, {"role": "tool", "content": "x"}), "messages.2.tool_call_id", "missing"),
        (session({"role": "assistant", "tool_calls": {}}), "messages.0.tool_calls", "expected a list"),
        (session({"role": "assistant", "tool_calls": [{"function": {"name": "f"}}]}), "messages.0.tool_calls.0.id", "missing"),
        (session({"role": "assistant", "tool_calls": [{"id": "c"}]}), "messages.0.tool_calls.0.function", "expected an object"),
        (session({"role": "assistant", "tool_calls": [call(name=None)]}), "messages.0.tool_calls.0.function.name", "found null"),  # type: ignore[arg-type]
        (session(ANSWER, turn_usage={"9": {}}), "turn_usage.9", "no index"),
        (session(ANSWER, turn_usage={"9" * 5000: {}}), "turn_usage." + "9" * 5000, "no index"),
        (session(ANSWER, turn_usage={"0": {"prompt_tokens": -1, "completion_tokens": 1}}), "turn_usage.0.prompt_tokens", "found -1"),
        (session(ANSWER, turn_usage={"0": {"prompt_tokens": 1}}), "turn_usage.0.completion_tokens", "missing"),
    ],
)
def test_what_is_wrong_with_a_session_is_named(recorded: dict[str, Any], place: str, told: str) -> None:
    with pytest.raises(RecordingError) as caught:
        recording_from_openai(recorded, source="file.jsonl", line=7)
    error = caught.value
    assert (error.place, error.line, error.source) == (place, 7, "file.jsonl")
    assert told in error.rule
    assert "line 7" in str(error)


def test_errors_never_quote_a_message() -> None:
    secret = "the patient is called Kim"
    for broken in ({"role": "user", "content": {"text": secret}}, {"role": "tool", "content": secret}, secret):
        with pytest.raises(RecordingError) as caught:
            recording_from_openai(session(broken))
        assert secret not in str(caught.value)


@pytest.mark.parametrize("packed", [False, True])
def test_bad_lines_cost_only_themselves(tmp_path: Path, *, packed: bool) -> None:
    good = json.dumps(session(USER, ANSWER))
    lines = [good, "not json", "[1]", "", '{"session_id": "x"}', '"\\ud800"', "[" * 100_000, "1" * 5000, good.replace("hello", "\\ud800")]
    raw = b"\n".join([*(line.encode() for line in lines), b"\xff\xfe", good.encode()])
    path = tmp_path / ("sessions.jsonl.gz" if packed else "sessions.jsonl")
    path.write_bytes(gzip.compress(raw, mtime=0) if packed else raw)
    file = SessionFile(path)
    items = list(file)
    assert [item.line for item in items] == [1, 2, 3, 5, 6, 7, 8, 9, 10, 11]
    assert [item.line for item in items if isinstance(item, Recording)] == [1, 9, 11]
    assert file.position == file.size == path.stat().st_size


def test_a_gzip_stream_that_breaks_keeps_what_came_before(tmp_path: Path) -> None:
    texts = [sha256(b"%d" % index).hexdigest() for index in range(3000)]
    whole = gzip.compress("".join(json.dumps(session({"role": "user", "content": text})) + "\n" for text in texts).encode())
    for name, raw in {"cut": whole[: len(whole) // 2], "flipped": whole[:-2000] + b"\xff" * 2000, "tail": whole + b"rubbish"}.items():
        path = tmp_path / name
        path.write_bytes(raw)
        *read, last = SessionFile(path)
        assert isinstance(last, RecordingError), name
        assert last.line == len(read) + 1
        assert all(isinstance(one, Recording) for one in read[:100])


def test_a_file_in_another_encoding_is_refused_line_by_line(tmp_path: Path) -> None:
    path = tmp_path / "sessions.jsonl"
    text = json.dumps(session({"role": "user", "content": "\u4e2d"}, ANSWER), ensure_ascii=False) + "\n"
    path.write_bytes((text * 4).encode("utf-16"))
    found = list(SessionFile(path))
    assert not [one for one in found if isinstance(one, Recording)]
    assert "it is not UTF-8" in str(found[0])
    path.write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert isinstance(next(iter(SessionFile(path))), Recording)


@pytest.mark.parametrize("raw", [b"", b"\n \n", gzip.compress(b"", mtime=0)])
def test_a_file_without_sessions_says_so(tmp_path: Path, raw: bytes) -> None:
    path = tmp_path / "sessions.jsonl"
    path.write_bytes(raw)
    (only,) = SessionFile(path)
    assert isinstance(only, RecordingError)
    assert "no session" in str(only)


@pytest.mark.parametrize("name", ["missing.jsonl", "."])
def test_a_file_that_cannot_be_opened_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(RecordingError) as caught:
        SessionFile(tmp_path / name)
    assert caught.value.source == str(tmp_path / name)


def test_a_file_that_cannot_be_read_at_all_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "sessions.jsonl"
    path.touch()

    def fail(*_: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    file = SessionFile(path)
    monkeypatch.setattr(type(path), "open", fail)
    (error, *_) = file
    assert isinstance(error, RecordingError)
    assert str(error) == f"{path}, line 1: it cannot be read on from here ([Errno 5] Input/output error)."
