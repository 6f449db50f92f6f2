"""The passage of one history to one model, message by message."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias, cast

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage

from session_router.core.binding import KEPT_BY_PROVIDER, BindingKind
from session_router.core.step import AskKind
from session_router_langchain.bindings import (
    bindings_of_block,
    bindings_of_envelope,
    is_computer_output,
    is_response_id,
    origin_told_by,
)
from session_router_langchain.blocks import answers_of, asks_of, client_ask_id
from session_router_langchain.dialects import ANTHROPIC, OPENAI_RESPONSES, family_of
from session_router_langchain.loops import loop_as_text, says_nothing
from session_router_langchain.rewriting import Surroundings, rewritten, screen, text_block, tool_name
from session_router_langchain.vocabulary import (
    GEMINI_CALL_SIGNATURES,
    OPENAI_CALL_IDS,
    OPENAI_CALLS,
    is_block,
    kept_aside,
    kind_of,
    native,
    native_blocks,
    text_of,
    unfinished_server_calls,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from session_router.core.binding import Binding
    from session_router_langchain.bindings import Origin
    from session_router_langchain.target import OriginOf, Target
    from session_router_langchain.vocabulary import Block

Kinds: TypeAlias = frozenset[BindingKind]

_NOTHING: Kinds = frozenset()
_IDS = frozenset({BindingKind.ITEM_ID, BindingKind.ENCRYPTED_REASONING})


class Conversion:
    """Carries one history to one target.

    Args:
        target: Where it goes.
        origin: Tells where each message comes from.

    Attributes:
        found: Index of a message and a kind of tie that the target does not accept, in order, each pair once.
    """

    def __init__(self, target: Target, origin: OriginOf) -> None:
        self.target = target
        self.origin = origin
        self.found: dict[tuple[int, BindingKind], None] = {}
        self._told: set[str] = set()  # ids of asks that become text: what answers them must follow
        self._names: dict[str, str] = {}  # a provider's own tools, by the id of their call

    def carry(self, messages: Sequence[BaseMessage]) -> list[BaseMessage]:
        """Return the messages as the target can take them; what it can take is the same object."""
        self._meet(messages)
        passed: list[tuple[int, BaseMessage]] = []
        late: list[tuple[int, BaseMessage]] = []
        for index, message in enumerate(messages):
            result = [(index, one) for one in self._message(index, message)]
            if isinstance(message, ToolMessage) and not isinstance(result[0][1], ToolMessage):
                # Results must follow their calls without anything between them.
                late.extend(result)
                continue
            if late and not isinstance(message, ToolMessage):
                passed.extend(late)
                late = []
            passed.extend(result)
        return self._tail(messages, [*passed, *late])

    def _tail(self, messages: Sequence[BaseMessage], passed: list[tuple[int, BaseMessage]]) -> list[BaseMessage]:
        carried = [message for _, message in passed]
        last = messages[-1] if messages else None
        if isinstance(last, AIMessage) and any(ask.kind is AskKind.SERVER_TOOL for ask in asks_of(last)) and carried[-1:] != [last]:
            # A paused turn that another model takes up: a history that ends with the assistant asks for nothing.
            return [*carried, HumanMessage("Please continue.")]
        if self.target.thinking and self.target.dialect == ANTHROPIC:
            heard = [(index, message) for index, message in passed if not says_nothing(message)]
            told = loop_as_text([message for _, message in heard], [self._is_own(messages[index]) for index, _ in heard])
            if told is not None:
                start, carried = told
                for index, message in heard[start:]:
                    if not isinstance(message, HumanMessage):
                        self._note(index, frozenset({BindingKind.FOREIGN_BLOCK}))
        return carried

    def _is_own(self, message: BaseMessage) -> bool:
        return isinstance(message, AIMessage) and self.origin(message).author == self.target.name

    def _meet(self, messages: Sequence[BaseMessage]) -> None:
        """Learn the names of the provider's own tools, and which of their calls have a part that cannot go."""
        for message in messages:
            if not isinstance(message, AIMessage) or not isinstance(message.content, list):
                continue
            origin = origin_told_by(message, self.origin(message))
            if BindingKind.SERVER_TOOL_BLOCK in self._unaccepted(bindings_of_envelope(message, origin)):
                self._told.update(unfinished_server_calls(message, native_blocks(message)))
            for block in message.content:
                if not is_block(block):
                    continue
                inner = native(block)
                if "input" in inner or "args" in inner:
                    self._names[text_of(inner.get("id"))] = tool_name(inner)
                call = text_of(inner.get("tool_use_id")) or text_of(inner.get("tool_call_id"))
                if call and self._failing(block, origin, by_model=True):
                    self._told.add(call)

    def _message(self, index: int, message: BaseMessage) -> list[BaseMessage]:
        if isinstance(message, AIMessage):
            return self._of_model(index, message)
        if isinstance(message.content, str) and not isinstance(message, ToolMessage):
            return [message]
        if isinstance(message, ToolMessage) and self._follows_told(message):
            self._note(index, frozenset({BindingKind.CLIENT_TOOL_BLOCK}))
            return [self._as_human(message)]
        return self._of_others(index, message) if isinstance(message.content, list) else [message]

    def _follows_told(self, message: ToolMessage) -> bool:
        if self._told.intersection(answers_of(message)):
            return True
        return is_computer_output(message) and self.target.dialect != OPENAI_RESPONSES

    def _of_model(self, index: int, message: AIMessage) -> list[BaseMessage]:
        origin = origin_told_by(message, self.origin(message))
        outside = self._unaccepted(bindings_of_envelope(message, origin))
        inside = [self._failing(block, origin, by_model=True) for block in message.content] if isinstance(message.content, list) else []
        failing = outside.union(*inside)
        if not failing:
            return [message]
        if BindingKind.ENCRYPTED_REASONING in failing and family_of(origin.dialect) == "openai" and isinstance(message.content, list):
            # What a thought led to is refused without it: the whole message gives up its ids.
            inside = [self._failing(block, origin, by_model=True, whole=False) for block in message.content]
            failing = outside.union(*inside)
        self._note(index, failing)
        if failing & KEPT_BY_PROVIDER:
            return [message]
        around = self._around(message)
        update = self._envelope(message, origin, outside) if outside else {}
        notes = self._kept_aside(message, origin, around) if outside else []
        content = message.content
        if isinstance(content, list):
            content = self._blocks(content, inside, around)
        if notes:
            said: list[Any] = content if isinstance(content, list) else [text_block(content)] if content else []
            content = [*said, *notes]
        content = content or ""
        if not content and not message.tool_calls and not message.invalid_tool_calls:
            return []
        return [message.model_copy(update={**update, "content": content})]

    def _around(self, message: AIMessage) -> Surroundings:
        calls = [call["id"] for call in (*message.tool_calls, *message.invalid_tool_calls)]
        return Surroundings(dialect=self.target.dialect, by_model=True, calls=frozenset(call for call in calls if call), names=self._names)

    def _blocks(self, content: list[Any], failing: list[Kinds], around: Surroundings) -> list[Any]:
        left: list[Any] = []
        for block, kinds in zip(content, failing, strict=True):
            if kinds:
                left.extend(rewritten(block, kinds, around))
                self._tell(block)
            elif not (is_block(block) and self._is_rebuilt(block, around)):
                left.append(block)
        return left

    def _is_rebuilt(self, block: Block, around: Surroundings) -> bool:
        """Whether the target's client writes this call anew anyway, and another provider's form of it is better gone."""
        inner = native(block)
        kind = kind_of(inner)
        home = {"tool_use": ANTHROPIC} | dict.fromkeys(OPENAI_CALLS, OPENAI_RESPONSES)
        if home.get(kind, self.target.dialect) == self.target.dialect:
            return False
        return text_of(inner.get("call_id") if kind in OPENAI_CALLS else inner.get("id")) in around.calls

    def _kept_aside(self, message: AIMessage, origin: Origin, around: Surroundings) -> list[Block]:
        notes: list[Block] = []
        for item in kept_aside(message):
            kinds = self._failing(item, origin, by_model=True)
            if kinds:
                notes.extend(rewritten(item, kinds, around))
                self._tell(item)
        audio = message.additional_kwargs.get("audio")
        if is_block(audio) and not message.text:
            notes.append(text_block(text_of(audio.get("transcript")) or "[the assistant spoke; there is no transcript]"))
        return notes

    def _tell(self, block: object) -> None:
        asked = client_ask_id(native(block)) if is_block(block) else None
        if asked:
            self._told.add(asked)

    def _of_others(self, index: int, message: BaseMessage) -> list[BaseMessage]:
        origin = self.origin(message)
        content = cast("list[Any]", message.content)
        failing = [self._failing(block, origin, by_model=False) for block in content]
        together = _NOTHING.union(*failing)
        if not together:
            return [message]
        self._note(index, together)
        if together & KEPT_BY_PROVIDER:
            return [message]
        around = Surroundings(dialect=self.target.dialect, by_model=False)
        answers: list[BaseMessage] = []
        left: list[Any] = []
        for block, kinds in zip(content, failing, strict=True):
            parts = rewritten(block, kinds, around) if kinds else [block]
            if isinstance(message, HumanMessage) and kinds and is_block(block) and kind_of(block) == "tool_result":
                answers.append(_tool_message(block, parts))
            else:
                left.extend(parts)
        rest = [message.model_copy(update={"content": left})] if left or not answers else []
        return [*answers, *rest]

    def _as_human(self, message: ToolMessage) -> HumanMessage:
        content: list[Any] = [text_block(f"[{message.name or 'the request'} was answered]")]
        if isinstance(message.content, str):
            content.append(screen(message.content) if is_computer_output(message) else text_block(message.content))
        else:
            around = Surroundings(dialect=self.target.dialect, by_model=False)
            for block in message.content:
                content.extend(rewritten(block, frozenset({BindingKind.FOREIGN_BLOCK}), around))
        return HumanMessage(content, id=message.id)

    def _failing(self, block: object, origin: Origin, *, by_model: bool, whole: bool = True) -> Kinds:
        bindings = tuple(bindings_of_block(block, origin, by_model=by_model))
        failing = self._unaccepted(bindings)
        if not whole:
            failing |= {one.kind for one in bindings if one.kind is BindingKind.ITEM_ID}
        if is_block(block):
            inner = native(block)
            if self._told and by_model and self._told.intersection(_paired(inner)):
                failing |= {BindingKind.SERVER_TOOL_BLOCK}
            if not by_model and self._told and self._told.intersection(_answered(inner)):
                failing |= {BindingKind.CLIENT_TOOL_BLOCK}
        return failing

    def _unaccepted(self, bindings: Iterable[Binding]) -> Kinds:
        return frozenset(one.kind for one in bindings if not self.target.accepts(one))

    def _envelope(self, message: AIMessage, origin: Origin, failing: Kinds) -> dict[str, Any]:
        extra = dict(message.additional_kwargs)
        update: dict[str, Any] = {}
        if failing & _IDS:
            for key in (OPENAI_CALL_IDS, "reasoning"):
                extra.pop(key, None)
            if is_block(extra.get("audio")):
                del extra["audio"]
            if is_response_id(message.response_metadata.get("id")):
                update["response_metadata"] = {key: value for key, value in message.response_metadata.items() if key != "id"}
            if message.id is not None and message.id.startswith(("resp_", "msg_")):
                update["id"] = None
        if BindingKind.FOREIGN_BLOCK in failing and not is_block(extra.get("audio")):
            extra.pop("audio", None)
        if BindingKind.THOUGHT_SIGNATURE in failing:
            extra.pop(GEMINI_CALL_SIGNATURES, None)
        if kept := kept_aside(message):
            extra["tool_outputs"] = [item for item in kept if not self._failing(item, origin, by_model=True)]
            if not extra["tool_outputs"]:
                del extra["tool_outputs"]
        return {**update, "additional_kwargs": extra}

    def _note(self, index: int, kinds: Kinds) -> None:
        for kind in sorted(kinds):
            self.found[index, kind] = None


def _paired(block: Block) -> set[str]:
    return {id_ for key in ("id", "tool_use_id", "tool_call_id") if (id_ := text_of(block.get(key)))}


def _answered(block: Block) -> set[str]:
    return {id_ for key in ("call_id", "approval_request_id") if (id_ := text_of(block.get(key)))}


def _tool_message(block: Block, parts: list[Block]) -> ToolMessage:
    status = "error" if block.get("is_error") else "success"
    content: list[Any] = [*parts]
    return ToolMessage(content=content, tool_call_id=text_of(block.get("tool_use_id")), status=status)
