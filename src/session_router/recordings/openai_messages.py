"""Sessions as lists of OpenAI chat messages.

One session: `{session_id, messages, source?, model?, tools?, turn_usage?}`; `turn_usage` gives, by index into
`messages`, the `prompt_tokens` and `completion_tokens` that the provider counted.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, NoReturn, cast

from session_router.core.checking import is_count
from session_router.core.model import Capability
from session_router.core.pricing import Usage
from session_router.core.step import DIGEST_BYTES, Ask, AskKind, Role, Step
from session_router.errors import RecordingError
from session_router.recordings.kinds import LONGEST, kind_of, told
from session_router.recordings.recording import RecordedMessage, Recording

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

CHARACTERS_PER_TOKEN = 4
MEDIA_TOKENS = 85
"""Assumed for an image, a sound or a file: the length of its encoding says nothing."""

MAXIMUM_DIGITS = 10  # of an index; Python refuses to read endless ones

_ROLES = {"system": Role.SYSTEM, "developer": Role.SYSTEM, "user": Role.HUMAN, "assistant": Role.AI, "tool": Role.TOOL}
_TEXTS = {"text": "text", "refusal": "refusal", "input_text": "text", "output_text": "text"}
_MEDIA = {
    "image_url": Capability.IMAGES,
    "input_image": Capability.IMAGES,
    "input_audio": Capability.AUDIO,
    "audio": Capability.AUDIO,
    "file": Capability.FILES,
    "input_file": Capability.FILES,
}


@dataclass(slots=True)
class _Reader:
    """Where in the recording we are, for errors; and which calls were made so far."""

    source: str | None
    line: int
    place: str = ""
    called: set[str] = field(default_factory=set[str])

    def fail(self, rule: str, place: str = "") -> NoReturn:
        where = ".".join(part for part in (self.place, place) if part)
        raise RecordingError(rule, source=self.source, line=self.line or None, place=where)


def recording_from_openai(session: Mapping[str, object], *, source: str | None = None, line: int = 0) -> Recording:
    """Read one session.

    Args:
        session: A decoded JSON object.
        source: The file it came from, for errors.
        line: Its line there.

    Raises:
        RecordingError: A field is missing or of the wrong kind, a role is unknown, or a tool result answers no call.
    """
    reader = _Reader(source, line)
    name = session.get("session_id")
    if not isinstance(name, str) or not name:
        reader.fail(_expected("a text that is not empty", session, "session_id"), "session_id")
    messages = session.get("messages")
    if not isinstance(messages, list) or not messages:
        reader.fail(_expected("a list of one message or more", session, "messages"), "messages")
    recorded = cast("list[object]", messages)
    usage = _usages(session.get("turn_usage"), recorded, reader)
    read = tuple(_message(message, index, usage.get(index), reader) for index, message in enumerate(recorded))
    reader.place = ""
    model, origin, tools = session.get("model"), session.get("source"), session.get("tools")
    return Recording(
        session_id=name,
        source=origin if isinstance(origin, str) else "",
        model=model if isinstance(model, str) else None,
        messages=read,
        tools=len(cast("list[object]", tools)) if isinstance(tools, list) else int(bool(reader.called)),
        line=line,
    )


def estimated_tokens(characters: int) -> int:
    """Estimate tokens from characters: one for every `CHARACTERS_PER_TOKEN`, rounded up."""
    return -(-characters // CHARACTERS_PER_TOKEN)


def _message(value: object, index: int, usage: Usage | None, reader: _Reader) -> RecordedMessage:
    reader.place = f"messages.{index}"
    message = _table(value, reader, "")
    role = _ROLES.get(cast("str", message.get("role"))) if isinstance(message.get("role"), str) else None
    if role is None:
        reader.fail(_expected(f"one of {', '.join(_ROLES)}", message, "role"), "role")
    text, media = _content(message, role, reader)
    asks: tuple[Ask, ...] = ()
    answers: tuple[str, ...] = ()
    characters = len(text)
    hashed = [role.value, text, *media.hashed]
    if role is Role.AI and message.get("tool_calls") is not None:
        calls, asks, length = _calls(message["tool_calls"], reader)
        characters += length
        hashed.append(json.dumps(calls, sort_keys=True))
    if role is Role.TOOL:
        answered = message.get("tool_call_id")
        if not isinstance(answered, str) or not answered:
            reader.fail(_expected("the id of a call", message, "tool_call_id"), "tool_call_id")
        if answered not in reader.called:
            reader.fail(f"{answered!r} answers no call: no assistant message before it has a tool call of this id.", "tool_call_id")
        answers = (answered,)
        hashed.append(answered)
    step = Step(
        role=role,
        digest=_digest(hashed),
        tokens=estimated_tokens(characters) + MEDIA_TOKENS * len(media.hashed),
        asks=asks,
        answers=answers,
        needs=media.needs,
    )
    said = text if role is Role.AI else ""
    return RecordedMessage(step=step, text=text if role is Role.HUMAN else "", said=said, usage=usage)


@dataclass(slots=True)
class _Media:
    hashed: list[str] = field(default_factory=list[str])
    needs: frozenset[Capability] = frozenset()


_NO_MEDIA = _Media()


def _content(message: Mapping[str, object], role: Role, reader: _Reader) -> tuple[str, _Media]:
    content = message.get("content")
    if isinstance(content, str):
        return content, _NO_MEDIA
    # An answer that only calls tools has no content, and recorders drop it or write null.
    if content is None and role is Role.AI:
        return "", _NO_MEDIA
    if not isinstance(content, list):
        reader.fail(_expected("text or a list of parts", message, "content"), "content")
    texts: list[str] = []
    media = _Media()
    for index, value in enumerate(cast("list[object]", content)):
        place = f"content.{index}"
        part = _table(value, reader, place)
        kind = part.get("type")
        if isinstance(kind, str) and kind in _TEXTS:
            text = part.get(_TEXTS[kind])
            if not isinstance(text, str):
                reader.fail(_expected("text", part, _TEXTS[kind]), f"{place}.{_TEXTS[kind]}")
            texts.append(text)
        elif isinstance(kind, str) and kind in _MEDIA:
            media.hashed.append(json.dumps(part, sort_keys=True))
            media.needs |= {_MEDIA[kind]}
        else:
            reader.fail(_expected(f"one of {', '.join([*_TEXTS, *_MEDIA])}", part, "type"), f"{place}.type")
    return "\n".join(texts), media


def _calls(value: object, reader: _Reader) -> tuple[Sequence[object], tuple[Ask, ...], int]:
    """Read the calls of one message: as they are, as asks, and their length in characters."""
    if not isinstance(value, list):
        reader.fail(f"expected a list, found {kind_of(value)}.", "tool_calls")
    calls = cast("list[object]", value)
    asks: list[Ask] = []
    characters = 0
    for index, one in enumerate(calls):
        place = f"tool_calls.{index}"
        call = _table(one, reader, place)
        name = call.get("id")
        if not isinstance(name, str) or not name:
            reader.fail(_expected("a text that is not empty", call, "id"), f"{place}.id")
        function = _table(call.get("function"), reader, f"{place}.function")
        tool = function.get("name")
        if not isinstance(tool, str):
            reader.fail(_expected("the name of a tool", function, "name"), f"{place}.function.name")
        arguments = function.get("arguments")
        valid, length = _arguments(arguments)
        characters += len(tool) + length
        asks.append(Ask(id=name, kind=AskKind.TOOL_CALL if valid else AskKind.INVALID_CALL))
        reader.called.add(name)
    return calls, tuple(asks), characters


def _arguments(arguments: object) -> tuple[bool, int]:
    """Say whether a framework could run the call, and how many characters its arguments have."""
    if isinstance(arguments, dict):  # some recorders write the decoded form
        return True, len(json.dumps(arguments))
    if arguments is None or arguments == "":  # tools without parameters
        return True, 0
    if not isinstance(arguments, str):
        return False, len(str(arguments))
    try:
        return isinstance(json.loads(arguments, strict=False), dict), len(arguments)
    except (ValueError, RecursionError):
        return False, len(arguments)


def _usages(value: object, messages: Sequence[object], reader: _Reader) -> dict[int, Usage]:
    if value is None:
        return {}
    reader.place = "turn_usage"
    usages: dict[int, Usage] = {}
    for key, one in _table(value, reader, "").items():
        if one is None:
            continue
        index = int(key) if key.isdecimal() and len(key) < MAXIMUM_DIGITS else -1
        if not 0 <= index < len(messages):
            reader.fail(f"{key!r} is no index into the {len(messages)} messages.", key)
        counts = _table(one, reader, key)
        usages[index] = Usage(input=_count(counts, "prompt_tokens", key, reader), output=_count(counts, "completion_tokens", key, reader))
    reader.place = ""
    return usages


def _count(counts: Mapping[str, object], name: str, key: str, reader: _Reader) -> int:
    count = counts.get(name)
    if not is_count(count):
        reader.fail(_expected("a number of tokens, 0 or more and below 2**53", counts, name), f"{key}.{name}")
    return cast("int", count)


def _table(value: object, reader: _Reader, place: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        reader.fail(f"expected an object, found {kind_of(value)}.", place)
    return cast("dict[str, Any]", value)


def _expected(what: str, table: Mapping[str, object], name: str) -> str:
    if name not in table:
        return f"it is missing; expected {what}."
    value = table[name]
    # Numbers and short words are shown; content never is.
    found = repr(value)[:LONGEST] if isinstance(value, str) and name in {"role", "type"} else told(value)
    return f"expected {what}, found {found}."


def _digest(parts: Sequence[str]) -> bytes:
    digest = blake2b(digest_size=DIGEST_BYTES)
    for part in parts:
        raw = part.encode("utf-8", "surrogatepass")
        # A length before each part, so that no two messages read alike.
        digest.update(b"%d:" % len(raw))
        digest.update(raw)
    return digest.digest()
