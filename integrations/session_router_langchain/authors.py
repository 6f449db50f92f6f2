"""Who wrote a message: by our stamp, else by the id under which its provider answered."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from session_router.core.model import routes_of

if TYPE_CHECKING:
    from langchain_core.messages import AIMessage

    from session_router.core.model import ModelName, ModelSpec

STAMP = "session_router"
"""Key of our facts in `AIMessage.response_metadata`: which model, by its abstract name, wrote the message."""


def stamped_author(message: AIMessage) -> str | None:
    """Return the model name that this library wrote into `message`."""
    return _stamped(message, "model")


def stamped_agent(message: AIMessage) -> str | None:
    """Return the agent whose call `message` answered, as this library wrote it down.

    The message's own name is no evidence: a node may rename its messages in the middle of a loop.
    """
    return _stamped(message, "agent")


def _stamped(message: AIMessage, key: str) -> str | None:
    stamp: object = message.response_metadata.get(STAMP)
    if stamp is None:
        return None
    fact = cast("Mapping[str, Any]", stamp).get(key) if isinstance(stamp, Mapping) else None
    return fact if isinstance(fact, str) else None


def provider_id_of(message: AIMessage) -> str | None:
    """Return the id under which the provider answered."""
    provider_id = message.response_metadata.get("model_name") or message.response_metadata.get("model")
    return provider_id if isinstance(provider_id, str) else None


def author_of(message: AIMessage, specs: Mapping[ModelName, ModelSpec]) -> str | None:
    """Return the route that wrote `message`, the first where several may have; the provider's id when none fits; `None` for no model."""
    return authors_of(message, specs)[1]


def authors_of(message: AIMessage, specs: Mapping[ModelName, ModelSpec]) -> tuple[str | None, str | None]:
    """Return who wrote `message` as far as that is certain, and what `author_of` does.

    They differ where several routes answer under one id of their provider's: certain is that alone.
    """
    author = stamped_author(message)
    if author is not None or (provider_id := provider_id_of(message)) is None:
        return author, author
    names = routes_of(provider_id, specs)
    first = names[0] if names else provider_id
    return provider_id if len(names) > 1 else first, first
