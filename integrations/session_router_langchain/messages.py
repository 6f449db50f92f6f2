"""LangChain messages to a transcript, reading only the messages that are new.

A history is recognised by the object identity of its messages, never by their ids alone: a message that was
replaced under its old id is read again. One that was changed in place is read again too, and keeps the label that
it bore. Nothing is kept once the last message of a history is gone.
"""

from __future__ import annotations

import contextlib
import hashlib
import weakref
from dataclasses import replace
from threading import Lock
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, HumanMessage, SystemMessage, ToolMessage

from session_router.core.eligibility import is_governed
from session_router.core.governance import Tag, join
from session_router.core.policy import Policy
from session_router.core.step import DIGEST_BYTES, Role, Step, new_step
from session_router.core.trail import Trail
from session_router.core.transcript import NO_HEAD, NO_MESSAGES, Prefix, Transcript
from session_router.core.value import maker, value
from session_router_langchain.authors import authors_of, stamped_agent
from session_router_langchain.bindings import bindings_of
from session_router_langchain.blocks import answers_of, asks_of
from session_router_langchain.facts import Facts, facts_of, kept_facts_of
from session_router_langchain.fingerprints import fingerprint, fingerprint_of_tool
from session_router_langchain.inspecting import NOTHING, Found
from session_router_langchain.tagging import asked_for_in, label_of, own_label

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from session_router.core.model import ModelName, ModelSpec

NO_LABELS: Mapping[str, Tag] = MappingProxyType({})
"""No tool says what it returns."""

NO_FACTS: Trail[Facts] = Trail()
"""Nobody watches what messages say."""

_LOOK_BACK = 256  # messages that one step of a graph may add before a history is read afresh


@value
class _Remembered:
    """One history that was read, for as long as its last message lives.

    Attributes:
        key: `id` of the last message.
        last: The last message; a strong reference would keep it alive, and with it all the others.
        before: The messages before it.
        transcript: What reading them gave.
        spare: Whether it stands for a history whose last message may be another one next time.
        labels: Those of tools, by which it was read.
        facts: What each message said when it was read; fewer where nobody watched.
    """

    key: int
    last: weakref.ref[BaseMessage]
    before: list[BaseMessage]
    transcript: Transcript
    spare: bool
    labels: Mapping[str, Tag]
    facts: Trail[Facts]


_new_remembered = maker(_Remembered)


class MessageReader:
    """Reads histories into transcripts.

    Args:
        specs: Returns the routes; asked at every read, since a route's facts may be found out late.
        policy: Knows the labels of what nobody labelled.
        governed: Whether a message that is changed in place could reach who may not see it: where nobody is cleared for anything,
            nobody looks at labels. Found out at every read unless somebody knows.
    """

    def __init__(
        self,
        specs: Callable[[], Mapping[ModelName, ModelSpec]],
        policy: Policy | None = None,
        *,
        governed: Callable[[], bool] | None = None,
    ) -> None:
        self._specs = specs
        self._policy = policy or Policy()
        self._governed = governed or (lambda: is_governed(self._specs(), self._policy))
        self._guard = Lock()
        self._read: dict[int, _Remembered] = {}

    def __len__(self) -> int:
        """Return the number of transcripts that are remembered: one or two of each history."""
        return len(self._read)

    def unread(self, messages: Sequence[BaseMessage], *, labels: Mapping[str, Tag] = NO_LABELS) -> Sequence[BaseMessage]:
        """Return the end of `messages` that `read` would look at."""
        messages = messages if isinstance(messages, list) else list(messages)
        return messages[self._longest_known(messages, labels, watched=True).messages :]

    def read(
        self,
        messages: Sequence[BaseMessage],
        *,
        head: Prefix | None = None,
        labels: Mapping[str, Tag] = NO_LABELS,
        found: Found = NOTHING,
    ) -> Transcript:
        """Read `messages`.

        Args:
            messages: The history as it will be sent, oldest first.
            head: Digest and tokens of what is sent before it: system prompt and tools.
            labels: Of what tools return, by name.
            found: What detectors found in what is new. What is not certain is read again next time.
        """
        messages = messages if isinstance(messages, list) else list(messages)
        watched = found is not NOTHING or self._governed()
        known, entry, changed = self._longest_known(messages, labels, watched=watched)
        head = NO_HEAD if head is None else head
        transcript = entry.transcript if entry else NO_MESSAGES
        if known == len(messages):
            transcript = transcript.headed(head)
        else:
            specs = self._specs()
            steps = list[Step]()
            for index in range(known, len(messages)):
                message = messages[index]
                before = steps[-1] if steps else transcript.steps[-1] if known else None
                step = step_of(message, specs, before=before, last=index == len(messages) - 1)
                asked_for = asked_for_in(messages, index) if isinstance(message, ToolMessage) else None
                tag = own_label(message) if step.injected else label_of(message, self._policy, labels, asked_for=asked_for)
                beside = None
                if changed is not None or found is not NOTHING:
                    beside = _joined(found.messages.get(id(message)), _borne_before(index, message, changed))
                if isinstance(message, ToolMessage) and own_label(message) is None and (asked_for is None or not asked_for.is_known):
                    step = replace(step, unasked=True)
                steps.append(step if tag is None and beside is None else replace(step, tag=tag, found=beside))
            # Some applications put another reminder last at every call: where the last message was not found again,
            # the history before it is remembered as well.
            # One that ends with a chunk is not: as the last one, the chunk is partial.
            is_spared = len(messages) > 1 and (entry is None or entry.spare) and not _is_partial(messages[-2])
            spare = transcript.extended(steps[:-1], head=head) if is_spared else None
            transcript = transcript.extended(steps, head=head) if spare is None else spare.extended(steps[-1:])
            if found.certain and not steps[-1].partial:
                facts = NO_FACTS if entry is None else entry.facts
                if watched:
                    facts = facts.extended(map(kept_facts_of, messages[known:]))
                self._remember(messages, transcript, spare=spare, superseded=entry, labels=labels, facts=facts)
        return transcript

    def _longest_known(self, messages: list[BaseMessage], labels: Mapping[str, Tag], *, watched: bool) -> _Known:
        changed: _Remembered | None = None
        for count in range(len(messages), max(0, len(messages) - _LOOK_BACK), -1):
            entry = self._read.get(id(messages[count - 1]))
            if entry is None or entry.last() is not messages[count - 1] or not _are_the_same(entry.before, messages[: count - 1]):
                continue
            if watched and not _say_the_same(entry.facts, messages[:count]):
                changed = changed or entry
            elif entry.labels == labels:
                return _Known(count, entry, changed)
        return _Known(0, None, changed)

    def _remember(
        self,
        messages: list[BaseMessage],
        transcript: Transcript,
        *,
        spare: Transcript | None,
        superseded: _Remembered | None,
        labels: Mapping[str, Tag],
        facts: Trail[Facts],
    ) -> None:
        with self._guard:
            if superseded is not None:
                self._read.pop(superseded.key, None)
                if superseded.before:
                    other = self._read.get(id(superseded.before[-1]))
                    if other is not None and other.spare:
                        del self._read[other.key]
            self._keep(messages, transcript, labels, facts)
            if spare is not None:
                self._keep(messages[:-1], spare, labels, Trail(facts[:-1]), spare=True)

    def _keep(
        self, messages: list[BaseMessage], transcript: Transcript, labels: Mapping[str, Tag], facts: Trail[Facts], *, spare: bool = False
    ) -> None:
        key, read = id(messages[-1]), self._read

        def forget(_: object) -> None:
            read.pop(key, None)

        read[key] = _new_remembered(
            key=key,
            last=weakref.ref(messages[-1], forget),
            before=messages[:-1],
            transcript=transcript,
            spare=spare,
            labels=labels,
            facts=facts,
        )


class _Known(NamedTuple):
    """How much of a history was read before.

    Attributes:
        messages: How many.
        entry: What was read of them; `None` for nothing.
        changed: What was read of the same messages before somebody changed one of them in place; `None` where nobody did.
    """

    messages: int
    entry: _Remembered | None
    changed: _Remembered | None


def _say_the_same(known: Sequence[Facts], messages: list[BaseMessage]) -> bool:
    try:
        return [*known] == list(map(facts_of, messages))
    except Exception:  # noqa: BLE001 -- as below
        return False


def _says_the_same(known: Facts, message: BaseMessage) -> bool:
    try:
        return known == facts_of(message)
    except Exception:  # noqa: BLE001 -- as below
        return False


def _borne_before(index: int, message: BaseMessage, changed: _Remembered | None) -> Tag | None:
    """Return the label that a message bore before it was changed in place: it keeps it, whatever became of it."""
    if changed is None or index >= len(changed.facts) or _says_the_same(changed.facts[index], message):
        return None
    before = changed.transcript.steps[index]
    return _joined(before.tag, before.found)


def _joined(one: Tag | None, other: Tag | None) -> Tag | None:
    return other if one is None else one if other is None else join(one, other)


def _are_the_same(known: list[BaseMessage], messages: list[BaseMessage]) -> bool:
    try:
        # Lists compare their elements by identity first: some nanoseconds a message.
        return known == messages
    except Exception:  # noqa: BLE001 -- deep content, or arrays that refuse to be compared: then it is read afresh
        return False


def step_of(message: BaseMessage, specs: Mapping[ModelName, ModelSpec], *, before: Step | None = None, last: bool = True) -> Step:
    """Read one message.

    Args:
        message: The message; an unknown type counts as a system message, which changes no lock.
        specs: The routes, by which authors are recognised.
        before: The step before it.
        last: Whether nothing follows it; only then can a streamed chunk be partial.
    """
    content, tokens, needs = fingerprint(message)
    if isinstance(message, AIMessage):
        # What is kept by an account counts as kept by that of the first route, where several share an id.
        certain, author = authors_of(message, specs)
        spec = specs.get(cast("ModelName", author)) if author is not None else None
        return new_step(
            role=Role.AI,
            digest=content,
            tokens=tokens,
            asks=asks_of(message),
            author=certain,
            agent=stamped_agent(message),
            partial=last and _is_partial(message),
            bindings=bindings_of(
                message, author=author, account="" if spec is None else spec.account, dialect="" if spec is None else spec.dialect
            ),
        )
    bindings = bindings_of(message, author=None, account="", dialect="") if isinstance(message.content, list) else ()
    if isinstance(message, ToolMessage):
        return new_step(
            role=Role.TOOL,
            digest=content,
            tokens=tokens,
            answers=answers_of(message),
            failed=message.status == "error",
            needs=needs,
            bindings=bindings,
        )
    if isinstance(message, HumanMessage):
        return new_step(
            role=Role.HUMAN,
            digest=content,
            tokens=tokens,
            answers=answers_of(message),
            injected=_is_injected(message, before),
            needs=needs,
            bindings=bindings,
        )
    role = Role.SYSTEM if isinstance(message, SystemMessage) or message.type not in {"human", "user"} else Role.HUMAN
    return new_step(role=role, digest=content, tokens=tokens, bindings=bindings)


def _is_partial(message: BaseMessage) -> bool:
    return isinstance(message, AIMessageChunk) and message.chunk_position != "last"


def _is_injected(message: HumanMessage, before: Step | None) -> bool:
    """Whether no human typed `message`: a notification, a summary, or the media that a file tool hands over."""
    if isinstance(message.additional_kwargs.get("lc_source"), str):
        return True
    in_loop = before is not None and (before.role is Role.TOOL or (before.injected and before.role is Role.HUMAN))
    return in_loop and isinstance(message.content, list) and bool(message.content) and not _text_of(message).strip()


def typed_texts(messages: Sequence[BaseMessage], transcript: Transcript) -> tuple[str, ...]:
    """Return what the user typed to open the last turns, oldest first; never tool output, an approval, or an injected message."""
    return tuple([_text_of(messages[index]) for index in transcript.typed])


def _text_of(message: BaseMessage) -> str:
    if isinstance(message.content, str):
        return message.content
    try:
        return message.text
    except (AttributeError, KeyError, TypeError):
        # Content that was set in place to what is none. The provider's client will say what is wrong with it.
        return ""


class HeadReader:
    """Digest and tokens of what is sent before the messages: system prompt and tools.

    Each object is read once.
    """

    def __init__(self) -> None:
        self._read: dict[int, tuple[weakref.ref[Any], bytes, int, Facts | None]] = {}

    def read(self, system: BaseMessage | None, tools: Sequence[Any]) -> Prefix | None:
        """Return the head, or `None` when nothing is sent before the messages."""
        if system is None and not tools:
            return None
        digest = hashlib.blake2b(digest_size=DIGEST_BYTES)
        tokens = 0
        for part in tools if system is None else (system, *tools):
            content, size = self._part(part)
            digest.update(content)
            tokens += size
        return Prefix(digest.digest(), tokens)

    def _part(self, part: Any) -> tuple[bytes, int]:  # noqa: ANN401 -- tools come in many types
        key, table = id(part), self._read
        known = table.get(key)
        if known is not None and known[0]() is part and (known[3] is None or _says_the_same(known[3], cast("BaseMessage", part))):
            return known[1], known[2]
        content, size = fingerprint(part)[:2] if isinstance(part, BaseMessage) else fingerprint_of_tool(part)

        def forget(_: object) -> None:
            table.pop(key, None)

        # A plain dictionary cannot be referenced weakly; it is small enough to be read each time.
        with contextlib.suppress(TypeError):
            table[key] = (weakref.ref(part, forget), content, size, kept_facts_of(part) if isinstance(part, BaseMessage) else None)
        return content, size
