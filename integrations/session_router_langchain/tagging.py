"""Labels on tools, messages and documents: where they stand, how they are put there, and how they are read."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar, cast, overload

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import BaseTool, tool

from session_router.core.checking import check_kind
from session_router.core.governance import Tag, join, join_labels
from session_router.core.label_row import tag_of, tag_to_plain
from session_router.errors import ConfigurationError
from session_router_langchain.blocks import asks_of
from session_router_langchain.withholding import WITHHELD

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from langchain_core.documents import Document

    from session_router.core.policy import Policy

TAG_KEY: Final = "session_router_tag"
"""Where a label stands: in a message's `additional_kwargs`, a tool's or a document's `metadata`, a graph's `context`."""

RETURNS_KEY: Final = "session_router_returns"
"""Where an answer that asks for tools says what these are declared to return: in its `additional_kwargs`, by name."""

REQUEST_KEY: Final = "session_router_request"
"""Where an answer in a graph says which request it answers: in its `additional_kwargs`, as a digest that only the router's key makes."""

_LOOK_BACK: Final = 256
"""Messages before a result among which its call is looked for."""

_FARTHEST: Final = 4_096
"""The same, where nothing but other results lies before it: they may answer calls that were made all at once."""

_REJECTED: Final = (
    "User rejected the tool call for `{name}` with id {id}. The tool was not executed. "
    "Do not retry this tool call unless the user explicitly requests it."
)
"""What LangChain's `HumanInTheLoopMiddleware` says in a tool's place when a human rejects its call and gives no reason."""

_TAG_RULE: Final = "give a `Tag`, such as `Tag(level=2)`."

Message = TypeVar("Message", bound="BaseMessage")

_SOURCES: Final[Mapping[type, str]] = {SystemMessage: "system", HumanMessage: "human", AIMessage: "ai", ToolMessage: "tool"}


@overload
def tagged_tool(target: BaseTool, /, *, tag: Tag | None = None, **fields: Any) -> BaseTool: ...  # noqa: ANN401 -- those of `Tag`
@overload
def tagged_tool(
    target: None = None,
    /,
    *,
    tag: Tag | None = None,
    **fields: Any,  # noqa: ANN401 -- as above
) -> Callable[[BaseTool | Callable[..., Any]], BaseTool]: ...


def tagged_tool(
    target: BaseTool | None = None,
    /,
    *,
    tag: Tag | None = None,
    **fields: Any,
) -> BaseTool | Callable[[BaseTool | Callable[..., Any]], BaseTool]:
    """Label what a tool returns.

    ```python
    @tagged_tool(level=2, categories={"pii"}, regions={"eu"})
    def read_customer(number: int) -> str:
        "Read a customer's file."
        ...

    labelled = tagged_tool(a_tool_of_others, tag=Tag(level=1))
    ```

    Args:
        target: A tool. Left out in a decorator, which takes a tool, or a function that it makes one of.
        tag: The label.
        fields: Those of `Tag`, instead of `tag`.

    Raises:
        ConfigurationError: A field is wrong, or the target no tool.
        TypeError: Both a tag and fields are given, or a field is none of `Tag`.
    """
    if tag is not None and fields:
        msg = "give either a tag or its fields"
        raise TypeError(msg)
    label = Tag(**fields) if tag is None else tag
    check_kind(label, Tag, key="tag", rule=_TAG_RULE)
    if target is not None:
        check_kind(target, BaseTool, key="tool", rule="give a tool; a function becomes one where `tagged_tool(...)` is its decorator.")
        return _labelled_tool(target, label)

    def label_it(decorated: BaseTool | Callable[..., Any]) -> BaseTool:
        return _labelled_tool(decorated if isinstance(decorated, BaseTool) else tool(decorated), label)

    return label_it


def _labelled_tool(target: BaseTool, label: Tag) -> BaseTool:
    target.metadata = {**(target.metadata or {}), TAG_KEY: tag_to_plain(label)}
    return target


def tool_tags(tools: Iterable[Any], policy: Policy) -> dict[str, Tag]:
    """Return the labels of what tools return, by name: their own, joined with the policy's.

    A tool that is declared nowhere is not among them.
    """
    found = dict(policy.tools)
    for one in tools:
        metadata = (one.metadata or {}) if isinstance(one, BaseTool) else {}
        if TAG_KEY in metadata:
            own = tag_of(metadata[TAG_KEY])
            found[one.name] = join(own, found[one.name]) if one.name in found else own
    return found


def labelled(message: Message, tag: Tag) -> Message:
    """Return `message` with a label, joined with the one that it has.

    Raises:
        ConfigurationError: It is no message, or the label no `Tag`.
    """
    if not isinstance(message, BaseMessage):  # pyright: ignore[reportUnnecessaryIsInstance] -- callers are not all typed
        raise ConfigurationError(key="message", value=type(message).__name__, rule="give a message of LangChain's.")
    check_kind(tag, Tag, key="tag", rule=_TAG_RULE)
    own = own_label(message)
    label = tag if own is None else join(own, tag)
    return message.model_copy(update={"additional_kwargs": {**message.additional_kwargs, TAG_KEY: tag_to_plain(label)}})


def label_fields(tag: Tag | None) -> dict[str, Any] | None:
    """Return what a message's `additional_kwargs` have for a label; `None` for none."""
    return None if tag is None else {TAG_KEY: tag_to_plain(tag)}


def own_label(message: BaseMessage) -> Tag | None:
    """Return the label that a message bears; `None` for none, and top for one that cannot be read."""
    return tag_of(message.additional_kwargs[TAG_KEY]) if TAG_KEY in message.additional_kwargs else None


def label_of_unread(messages: Sequence[BaseMessage]) -> Tag | None:
    """Return the label of the tools' results that a history ends with; `None` for none, or none that bears one."""
    results = itertools.takewhile(lambda one: isinstance(one, ToolMessage), reversed(messages))
    labels = [label for one in results if (label := own_label(one)) is not None]
    return join(*labels) if labels else None


class AskedFor(NamedTuple):
    """The call that a tool's result answers.

    Attributes:
        name: Of the tool, as the call says; `None` where the call is not known.
        tag: The label of the message that made it: what its arguments carried.
        returns: What tools were declared to return when they were asked for, by name: they may be on offer no more.
        is_known: Whether the call was found; if not, this is said by the message that comes closest.
    """

    name: str | None
    tag: Tag | None
    returns: Mapping[str, Tag] = MappingProxyType({})
    is_known: bool = True


def asked_for_in(messages: Sequence[BaseMessage], index: int) -> AskedFor | None:
    """Return what the result at `index` was asked for by; where its call is not found, by whatever message comes closest."""
    call_id, closest = getattr(messages[index], "tool_call_id", None), None
    for back, message in enumerate(reversed(messages[max(0, index - _FARTHEST) : index])):
        if back >= _LOOK_BACK and closest is not None:
            break
        if isinstance(message, AIMessage):
            closest = message if closest is None else closest
            for call in (*message.tool_calls, *message.invalid_tool_calls):
                if call["id"] == call_id:
                    return AskedFor(call["name"], own_label(message), _returns_of(message))
            if any(ask.id == call_id for ask in asks_of(message)):
                return AskedFor(None, own_label(message), _returns_of(message))
    return None if closest is None else AskedFor(None, own_label(closest), _returns_of(closest), is_known=False)


def _returns_of(message: AIMessage) -> Mapping[str, Tag]:
    stated: object = message.additional_kwargs.get(RETURNS_KEY)
    if not isinstance(stated, dict):
        return MappingProxyType({})
    return {str(name): tag_of(plain) for name, plain in cast("dict[object, object]", stated).items()}


def returned_by(message: AIMessage, tools: Mapping[str, Tag]) -> dict[str, Any] | None:
    """Return what an answer's `additional_kwargs` say of the tools that it asks for; `None` where none of them is declared.

    Args:
        message: The answer.
        tools: The labels of what tools return, by name (`tool_tags`).
    """
    names = {call["name"] for call in (*message.tool_calls, *message.invalid_tool_calls)}
    known = {name: tag_to_plain(tools[name]) for name in sorted(map(str, names)) if name in tools}
    return {RETURNS_KEY: known} if known else None


def label_of(message: BaseMessage, policy: Policy, tools: Mapping[str, Tag], *, asked_for: AskedFor | None = None) -> Tag | None:
    """Return the label of a message that is about to be sent.

    Args:
        message: The message.
        policy: Knows what nobody labelled.
        tools: The labels of what tools return, by name (`tool_tags`).
        asked_for: What a tool's result was asked for by, if that is known.

    Returns:
        Its own label, joined with what the policy says of its source: whoever writes a message cannot lower that. A tool's result
        carries what its tool is declared to return as well, and what its arguments carried; where it goes by another name than the
        call, what both are declared to return; and where it says that a human rejected the call, and no more, what that carries.
        A message of a kind that says nothing of its source carries what the policy says of any.
        `None` when nobody says anything: then it is unlabelled.
    """
    own = own_label(message)
    if isinstance(message, ToolMessage):
        return _label_of_result(message, own, policy, tools, asked_for)
    if not policy.sources or (own is not None and _is_withheld(message)):
        return own
    source = next((source for kind, source in _SOURCES.items() if isinstance(message, kind)), None)
    if source is None:
        # Of another kind, such as `ChatMessage`: providers are sent it in whichever role it claims, and it may come from anywhere.
        return None if own is None else join(own, *(policy.sources[one] for one in _SOURCES.values() if one in policy.sources))
    said = policy.sources.get(source)
    return own if said is None else said if own is None else join(own, said)


def _is_withheld(message: BaseMessage) -> bool:
    """Whether a message says no more than that it is withheld, wherever it comes from."""
    return message.content == WITHHELD and not message.name and not isinstance(message, AIMessage)


def _label_of_result(
    message: ToolMessage, own: Tag | None, policy: Policy, tools: Mapping[str, Tag], asked_for: AskedFor | None
) -> Tag | None:
    if own is not None and _is_withheld(message):
        return own
    if asked_for is not None and asked_for.tag is not None and _says_only_that_it_was_rejected(message, asked_for):
        return asked_for.tag if own is None else join(asked_for.tag, own)
    names = {name for name in (message.name, None if asked_for is None else asked_for.name) if name}
    then: Mapping[str, Tag] = MappingProxyType({}) if asked_for is None else asked_for.returns
    known = [join(*(declared[name] for declared in (tools, then) if name in declared)) for name in names if name in tools or name in then]
    if not names or len(known) < len(names):
        otherwise = policy.sources.get("tool", own)
        # A tool that nobody declared is not known to be harmless because of what it was asked.
        if otherwise is None:
            return None
        known.append(otherwise)
    if own is not None:
        known.append(own)
    carried = None if asked_for is None else asked_for.tag
    return join(*known, *(() if carried is None else (carried,)))


def _says_only_that_it_was_rejected(message: ToolMessage, asked_for: AskedFor) -> bool:
    """Whether all that a result says is in its call. Whoever wrote it: a reason, or an error, may hold what a tool returns."""
    name = asked_for.name
    if name is None or not asked_for.is_known or message.name not in {None, name}:
        return False
    return message.content == _REJECTED.format(name=name, id=message.tool_call_id)


def label_of_documents(documents: Sequence[Document], *, unlabelled: Tag) -> Tag:
    """Return the join over what retrieved documents bear in their metadata; those without a label count as `unlabelled`."""
    return join_labels((tag_of(one.metadata[TAG_KEY]) if TAG_KEY in one.metadata else None for one in documents), unlabelled=unlabelled)


def label_in(context: object) -> Tag | None:
    """Return the label in a graph's `context` or in a run's metadata; `None` for none, and top for one that cannot be read.

    Args:
        context: A mapping, or an object with attributes.
    """
    if isinstance(context, Mapping):
        return tag_of(context[TAG_KEY]) if TAG_KEY in context else None  # pyright: ignore[reportUnknownArgumentType] -- `isinstance` cannot tell the types
    found = getattr(context, TAG_KEY, None)
    return None if found is None else tag_of(found)
