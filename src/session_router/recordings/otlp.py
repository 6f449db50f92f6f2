"""Sessions out of exported traces: yesterday's traffic, for tomorrow's policy.

Reads OTLP as JSON, as the OpenTelemetry Collector writes it: one document, or one a line, plain or gzip. Route spans tell the calls of
a session and their estimated tokens; spans of model calls tell what providers counted. Traces hold no words unless they were asked to,
so what a scorer said is read from the route spans.
"""

from __future__ import annotations

import gzip
import json
import zlib
from dataclasses import dataclass
from hashlib import blake2b
from io import BytesIO
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final, cast

from session_router.core.checking import is_count
from session_router.core.pricing import Usage
from session_router.core.step import DIGEST_BYTES, Ask, Role, Step
from session_router.errors import RecordingError
from session_router.recordings.recording import RecordedMessage, Recording

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

ROUTE: Final = "session_router.route"
SESSION: Final = "session.id"
AGENT: Final = "gen_ai.agent.name"
TURN: Final = "session_router.turn.index"
TOKENS: Final = "session_router.tokens"
MODEL: Final = "session_router.model.selected"
REASON: Final = "session_router.reason"
INTERNAL: Final = "session_router.internal"
CANDIDATES: Final = "session_router.candidates"
SCORES: Final = "session_router.scores"
MESSAGES: Final = "gen_ai.input.messages"
ERROR: Final = "error.type"
COUNTED: Final = (
    ("gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens"),
    ("llm.token_count.prompt", "llm.token_count.completion"),
)
"""Of the GenAI conventions, and of OpenInference."""

_FALLBACK: Final = "fallback"
_GZIP: Final = b"\x1f\x8b"


@dataclass(frozen=True, slots=True)
class _Span:
    """One span.

    Attributes:
        start: Nanoseconds since the epoch.
        name: Its name.
        facts: Its attributes.
    """

    start: int
    name: str
    facts: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Call:
    """One call of a session: what was decided on it, and what its answer took; `None` when nobody says."""

    route: _Span
    usage: Usage | None = None
    text: str = ""

    @property
    def turn(self) -> int:
        return _count(self.route.facts.get(TURN))

    @property
    def tokens(self) -> int:
        return _count(self.route.facts.get(TOKENS))


def _count(value: object) -> int:
    return cast("int", value) if is_count(value) else 0


class TraceFile:
    """The sessions of a file of exported traces, by their beginning.

    Iterating yields a `Recording`, or a `RecordingError` in the place of what cannot be read.

    Args:
        path: The file.

    Raises:
        RecordingError: The file cannot be read, or holds no traces.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        documents = list(_documents(path))
        self.size = path.stat().st_size if path.is_file() else 0
        """Bytes on disk."""
        self.position = 0
        """Bytes of `size` that were read so far."""
        self._lost = [one for one in documents if isinstance(one, RecordingError)]
        self._documents = [one for one in documents if not isinstance(one, RecordingError)]
        if self._lost and not self._documents:
            raise self._lost[0]

    def __iter__(self) -> Iterator[Recording | RecordingError]:
        """Yield a session, or an error in the place of one."""
        yield from self._lost
        sessions: dict[tuple[str, str], list[_Span]] = {}
        lost = 0
        for span in _spans(self._documents):
            session = span.facts.get(SESSION)
            if not isinstance(session, str) or not session:
                lost += span.name == ROUTE
                continue
            agent = span.facts.get(AGENT) if span.name == ROUTE else None
            sessions.setdefault((session, agent if isinstance(agent, str) else ""), []).append(span)
        self.position = self.size
        chats = {session: [one for one in spans if one.name != ROUTE] for (session, agent), spans in sessions.items() if not agent}
        found = False
        for number, ((session, agent), spans) in enumerate(sessions.items(), 1):
            routes = [one for one in spans if one.name == ROUTE and not one.facts.get(INTERNAL)]
            if routes:
                found = True
                name = f"{session}/{agent}" if agent else session
                yield _recording(name, _calls(routes, chats.get(session, ())), str(self.path), number)
        if lost:
            yield RecordingError(f"{lost:,} decisions name no session (`{SESSION}`).", source=str(self.path))
        if not found:
            yield RecordingError(f"the file holds no session: no span `{ROUTE}` that names one.", source=str(self.path))


def _documents(path: Path) -> Iterator[Mapping[str, Any] | RecordingError]:
    """Yield the documents of a file, or an error in the place of one."""
    source = str(path)
    try:
        raw = path.read_bytes()
    except OSError as error:
        rule = f"it cannot be read ({error.strerror or error})."
        raise RecordingError(rule, source=source) from None
    text, broken = _unpacked(raw)
    try:
        found = _json(text)
        documents = cast("list[object]", found) if isinstance(found, list) else [found]
    except (ValueError, RecursionError):
        documents = [_line(line, number, source) for number, line in enumerate(text.split(b"\n"), 1) if line.strip()]
    for number, document in enumerate(documents, 1):
        if isinstance(document, RecordingError):
            yield document
        elif isinstance(document, dict) and isinstance(cast("dict[str, Any]", document).get("resourceSpans"), list):
            yield cast("dict[str, Any]", document)
        else:
            rule = "expected OTLP as JSON: an object with `resourceSpans`."
            yield RecordingError(rule, source=source, line=number)
    if broken:
        yield RecordingError(f"the gzip stream cannot be read to its end ({broken}); what follows is lost.", source=source)


def _unpacked(raw: bytes) -> tuple[bytes, str]:
    """Return what can be unpacked, and what is wrong with the rest."""
    if raw[: len(_GZIP)] != _GZIP:
        return raw, ""
    unpacked = bytearray()
    with gzip.GzipFile(fileobj=BytesIO(raw)) as stream:
        try:
            while block := stream.read1():
                unpacked += block
        except (OSError, EOFError, zlib.error) as error:
            return bytes(unpacked), str(error)
    return bytes(unpacked), ""


def _line(line: bytes, number: int, source: str) -> object:
    try:
        return _json(line)
    except UnicodeDecodeError as error:
        rule = f"it is not UTF-8: byte {error.start}."
    except (ValueError, RecursionError) as error:
        rule = f"it is no JSON that can be read ({type(error).__name__})."
    return RecordingError(rule, source=source, line=number)


def _json(raw: bytes) -> object:
    return cast("object", json.loads(raw.decode("utf-8-sig")))


def _spans(documents: Sequence[Mapping[str, Any]]) -> list[_Span]:
    """Return every span that says enough, by its beginning."""
    spans = [
        _Span(_whole(one.get("startTimeUnixNano")), str(one.get("name")), _facts(one.get("attributes")))
        for document in documents
        for resource in _tables(document.get("resourceSpans"))
        for scope in _tables(resource.get("scopeSpans"))
        for one in _tables(scope.get("spans"))
    ]
    return sorted(spans, key=lambda span: span.start)


def _tables(value: object) -> list[dict[str, Any]]:
    items = cast("list[object]", value) if isinstance(value, list) else []
    return [cast("dict[str, Any]", one) for one in items if isinstance(one, dict)]


def _facts(attributes: object) -> dict[str, Any]:
    return {str(one.get("key")): _value(one.get("value")) for one in _tables(attributes)}


def _value(value: object) -> object:
    """Read a value of any kind; `None` for one that cannot be read."""
    ((kind, held), *_) = cast("dict[str, Any]", value).items() if isinstance(value, dict) and value else [("", None)]
    match kind:
        case "stringValue" | "boolValue":
            return held
        case "intValue":
            return _whole(held)
        case "doubleValue":
            return float(held) if isinstance(held, int | float) else None
        case "arrayValue":
            return [_value(one) for one in _tables(cast("dict[str, object]", held).get("values") if isinstance(held, dict) else None)]
        case _:
            return None


def _whole(value: object) -> int:
    # JSON of protobuf writes whole numbers of 64 bits as text.
    text = str(value)
    return int(text) if text.removeprefix("-").isdecimal() and len(text) <= 20 else 0  # noqa: PLR2004 -- digits of 64 bits


def _calls(routes: Sequence[_Span], chats: Sequence[_Span]) -> list[_Call]:
    """Give each decision what its model call took; a decision that a fallback replaced is none of the calls."""
    ends = [*(after.start for _, after in pairwise(routes)), None]
    calls: list[_Call] = []
    for route, end in zip(routes, ends, strict=True):
        if route.facts.get(REASON) == _FALLBACK and calls:
            calls.pop()
        during = (one for one in chats if one.start >= route.start and (end is None or one.start < end))
        # The first answer is its own; those after it are of agents that its tools called.
        told = ((usage, _typed(one.facts.get(MESSAGES))) for one in during if ERROR not in one.facts and (usage := _usage(one)) is not None)
        usage, text = next(told, (None, ""))
        calls.append(_Call(route, usage, text))
    return calls


def _usage(chat: _Span) -> Usage | None:
    for read, written in COUNTED:
        if is_count(chat.facts.get(read)) and is_count(chat.facts.get(written)):
            return Usage(input=chat.facts[read], output=chat.facts[written])
    return None


def _typed(messages: object) -> str:
    """Return what a human typed last, where content was asked for; empty where it was not."""
    try:
        told: object = json.loads(messages) if isinstance(messages, str) else None
    except (ValueError, RecursionError):
        return ""
    for message in reversed(_tables(told)):
        if message.get("role") == "user":
            texts = [part.get("content") for part in _tables(message.get("parts"))]
            return "\n".join(text for text in texts if isinstance(text, str))
    return ""


def _recording(name: str, calls: Sequence[_Call], source: str, line: int) -> Recording:
    """Make up the messages that the calls must have had: their number and their tokens are right, and nobody knows more."""
    messages: list[RecordedMessage] = []
    needs: dict[int, Mapping[str, float]] = {}
    turn, told, known = 0, 0, 0
    waiting = ""
    for number, (call, following) in enumerate(pairwise([*calls, None])):
        assert call is not None  # noqa: S101 -- only what follows the last call is nothing
        new = max(0, call.tokens - known)
        if waiting and call.turn == told:
            messages.append(RecordedMessage(step=_step(name, len(messages), Role.TOOL, new, answers=(waiting,))))
        elif call.turn == 0:
            messages.append(RecordedMessage(step=_step(name, len(messages), Role.SYSTEM, new)))
        else:
            turn, told = turn + 1, call.turn
            messages.append(RecordedMessage(step=_step(name, len(messages), Role.HUMAN, new), text=call.text))
            needs |= {turn: scores} if (scores := _scores(call.route)) else {}
        loops = following is not None and following.turn == call.turn != 0
        waiting = f"call-{number}" if loops else ""
        output = 0 if call.usage is None else call.usage.output
        if following is not None:
            # Tokens of requests are estimates of ours, and this is a count: the answer is no more than what was added.
            output = min(output, max(0, following.tokens - call.tokens))
        asks = (Ask(id=waiting),) if waiting else ()
        messages.append(RecordedMessage(step=_step(name, len(messages), Role.AI, output, asks=asks), usage=call.usage))
        known = call.tokens + output
    models = [call.route.facts.get(MODEL) for call in calls]
    return Recording(
        session_id=name,
        source=source,
        model=next((one for one in models if isinstance(one, str)), None),
        messages=tuple(messages),
        tools=int(any(message.step.asks for message in messages)),
        line=line,
        needs=needs,
    )


def _scores(route: _Span) -> dict[str, float]:
    names, scores = route.facts.get(CANDIDATES), route.facts.get(SCORES)
    if not isinstance(names, list) or not isinstance(scores, list):
        return {}
    pairs = zip(cast("list[object]", names), cast("list[object]", scores), strict=False)
    return {name: score for name, score in pairs if isinstance(name, str) and isinstance(score, float) and 0 <= score <= 1}


def _step(name: str, index: int, role: Role, tokens: int, **fields: Any) -> Step:  # noqa: ANN401 -- those of `Step`
    digest = blake2b(f"{name}\n{index}".encode("utf-8", "surrogatepass"), digest_size=DIGEST_BYTES).digest()
    return Step(role=role, digest=digest, tokens=tokens, **fields)
