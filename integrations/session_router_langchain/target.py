"""Where a request goes, and where each message of it comes from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage

from session_router.core.checking import check_kind
from session_router.core.model import ModelSpec
from session_router_langchain.authors import author_of, provider_id_of, stamped_author
from session_router_langchain.bindings import Origin
from session_router_langchain.dialects import account_of, dialect_of

if TYPE_CHECKING:
    from session_router.core.binding import Binding
    from session_router.core.model import ModelName

OriginOf: TypeAlias = Callable[[BaseMessage], Origin]
"""Tells where a message comes from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The model that a request goes to.

    Attributes:
        name: Its model name.
        dialect: The API it speaks.
        account: Its endpoint and account; never empty, so that a model accepts what it wrote itself.
        provider_ids: Ids under which its provider answers.
        thinking: Whether it refuses a running tool loop that does not begin with a signed thought, as Anthropic
            does with `thinking={"type": "enabled"}`.
    """

    name: str
    dialect: str
    account: str
    provider_ids: frozenset[str] = frozenset()
    thinking: bool = False
    _spec: ModelSpec = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Prepare the comparison."""
        spec = ModelSpec(dialect=self.dialect, account=self.account, provider_ids=self.provider_ids)
        object.__setattr__(self, "_spec", spec)

    def accepts(self, binding: Binding) -> bool:
        """Whether a request to this model may carry `binding` unchanged."""
        return self._spec.accepts(binding, name=self.name)

    def wrote(self, message: AIMessage) -> bool:
        """Whether `message` names this model as its author; two routes to one provider's model look alike."""
        author = stamped_author(message)
        if author is not None:
            return author == self.name
        provider_id = provider_id_of(message)
        return provider_id is not None and self._spec.answers_as(provider_id) > 0


def target_of(name: str, model: BaseChatModel, *, dialect: str = "", account: str = "") -> Target:
    """Describe `model`, which the router calls `name`, as a target.

    Args:
        name: The model name.
        model: The chat model.
        dialect: What the route says of its dialect; found out when empty.
        account: What the route says of its account; found out when empty.

    Raises:
        ConfigurationError: `model` is no chat model.
    """
    check_kind(model, BaseChatModel, key="model", rule="give a chat model, such as `init_chat_model('openai:gpt-5-mini')`.")
    provider_id: object = getattr(model, "model_name", None) or getattr(model, "model", None)
    return Target(
        name=name,
        dialect=dialect or dialect_of(model),
        account=account or account_of(model) or f"route:{name}",
        provider_ids=frozenset({provider_id.removeprefix("models/")}) if isinstance(provider_id, str) else frozenset(),
        thinking=_demands_thinking(model),
    )


def as_target(target: Target | BaseChatModel) -> Target:
    """Return `target`, or the target that a chat model is when no router has a name for it.

    Raises:
        ConfigurationError: It is neither.
    """
    if isinstance(target, Target):
        return target
    check_kind(target, BaseChatModel, key="target", rule="give a chat model, or `target_of(name, model)`.")
    return target_of(type(target).__name__, target)


def origin_in(specs: Mapping[ModelName, ModelSpec]) -> OriginOf:
    """Return what tells the origin of messages by the routes `specs`."""

    def origin(message: BaseMessage) -> Origin:
        if not isinstance(message, AIMessage):
            return Origin()
        author = author_of(message, specs)
        spec = None if author is None else specs.get(cast("ModelName", author))
        return Origin(author=author) if spec is None else Origin(author=author, account=spec.account, dialect=spec.dialect)

    return origin


def origin_beside(target: Target) -> OriginOf:
    """Return what tells the origin of messages when only `target` is known: its own, or a stranger's."""

    def origin(message: BaseMessage) -> Origin:
        if not isinstance(message, AIMessage):
            return Origin()
        if target.wrote(message):
            return Origin(author=target.name, account=target.account, dialect=target.dialect)
        return Origin(author=stamped_author(message) or provider_id_of(message))

    return origin


def _demands_thinking(model: BaseChatModel) -> bool:
    settings: object = getattr(model, "model_kwargs", None)
    extra: object = cast("Mapping[str, Any]", settings).get("thinking") if isinstance(settings, Mapping) else None
    thinking: object = getattr(model, "thinking", None) or extra
    return isinstance(thinking, Mapping) and cast("Mapping[str, Any]", thinking).get("type") == "enabled"
