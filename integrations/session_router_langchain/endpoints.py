"""Where a chat model really sends what it is given, and whether that is what its clearance was attested for."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from session_router_langchain.vocabulary import is_block

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

    from session_router.core.model import ModelName, ModelSpec

logger = logging.getLogger("session_router")

_CLIENTS: Final = ("root_client", "root_async_client")
_FIELDS: Final = ("openai_api_base", "anthropic_api_url", "azure_endpoint", "base_url", "endpoint", "endpoint_url")
_PORTS: Final = {"http": 80, "https": 443}


def endpoint_of(model: BaseChatModel) -> str:
    """Return the address that `model` sends to, as its client or its own fields say; empty when neither does."""
    clients = [client for name in _CLIENTS if (client := _read(model, name)) is not None]
    found = [base for client in clients if (base := _read(client, "base_url"))] or [
        base for name in _FIELDS if (base := _read(model, name))
    ]
    return str(found[0]) if found else ""


def sends_elsewhere(one: object, other: object) -> bool:
    """Whether two models, as LangChain's callbacks are told of them, are of different clients, or were given different addresses."""
    return _client_and_addresses(one) != _client_and_addresses(other)


def _client_and_addresses(serialized: object) -> tuple[object, ...]:
    if not is_block(serialized):
        return ()
    given: object = serialized.get("kwargs")
    return (serialized.get("id"), *(given.get(name) if is_block(given) else None for name in _FIELDS))


def attested(name: ModelName, spec: ModelSpec, model: BaseChatModel) -> ModelSpec:
    """Return `spec` without its clearance if that was attested for another address than the one `model` sends to.

    A clearance that names no address holds for any. One that names an address holds for nothing when the model's is not known.
    """
    clearance = spec.clearance
    if clearance is None or not clearance.endpoint:
        return spec
    found = endpoint_of(model)
    if is_within(found, clearance.endpoint):
        return spec
    logger.warning(
        "`%s` is cleared at %s and sends to %s: it counts as not cleared", name, clearance.endpoint, found or "an unknown address"
    )
    return replace(spec, clearance=None)


def is_within(found: str, stated: str) -> bool:
    """Whether the address `found` is the one that was `stated`, or lies below it."""
    one, other = _parts(found), _parts(stated)
    if one is None or other is None or one[:3] != other[:3]:
        return False
    return one[3][: len(other[3])] == other[3]


def _parts(address: str) -> tuple[str, str, int | None, list[str]] | None:
    """Return scheme, host, port and the segments of the path; `None` for what is no address."""
    try:
        parts = urlsplit(address.strip())
        host, port = (parts.hostname or "").lower(), parts.port
    except ValueError:
        return None
    segments = [segment for segment in parts.path.split("/") if segment]
    if not parts.scheme or not host or ".." in segments:
        return None
    return parts.scheme.lower(), host, port or _PORTS.get(parts.scheme.lower()), segments


def _read(owner: object, name: str) -> Any:  # noqa: ANN401 -- clients of any kind
    try:
        return getattr(owner, name, None)
    except Exception:  # noqa: BLE001 -- a client that cannot be built now says nothing of its address
        return None
