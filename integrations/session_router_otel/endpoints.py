"""Whom a route asks: provider, model and address, for the metrics of model calls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from session_router_otel import conventions as names

if TYPE_CHECKING:
    from session_router.core.model import ModelSpec
    from session_router_otel.metrics import Label

PROVIDERS: Final = {
    "openai-chat": "openai",
    "openai-responses": "openai",
    "openai": "openai",
    "azure": "azure.ai.openai",
    "anthropic": "anthropic",
    "google-genai": "gcp.gemini",
    "google_genai": "gcp.gemini",
    "google_vertexai": "gcp.vertex_ai",
    "bedrock": "aws.bedrock",
    "amazon_bedrock": "aws.bedrock",
    "mistralai": "mistral_ai",
}
"""The conventions' names of providers, by dialect and by LangChain's names of them."""

_ADDRESSES: Final = ("openai_api_base", "anthropic_api_url", "azure_endpoint", "base_url", "endpoint_url")
_PORTS: Final = {"http": 80, "https": 443}


def endpoint_of(name: str, spec: ModelSpec) -> tuple[Label, ...]:
    """Return the labels of calls to the route `name`; nothing is called that could reach the network."""
    labels = [
        (names.OPERATION_NAME, names.CHAT),
        (names.PROVIDER_NAME, PROVIDERS.get(spec.dialect, spec.dialect or "unknown")),
        (names.REQUEST_MODEL, _model_id(name, spec)),
        (names.MODEL_SELECTED, name),
    ]
    host, port = _address(spec.model)
    if host:
        labels += [(names.SERVER_ADDRESS, host), (names.SERVER_PORT, str(port))]
    return tuple(labels)


def _model_id(name: str, spec: ModelSpec) -> str:
    if isinstance(spec.model, str):
        return spec.model.rpartition(":")[2]
    found = _read(spec.model, "model_name") or _read(spec.model, "model")
    return found.removeprefix("models/") if isinstance(found, str) else name


def _address(model: object) -> tuple[str, int]:
    owners = [_read(model, "root_client"), model]
    attributes = ["base_url", *_ADDRESSES]
    found = next((str(value) for owner in owners for name in attributes if (value := _read(owner, name))), "")
    try:
        parts = urlsplit(found)
        # Never more than host and port: the rest of an address may hold a key.
        return parts.hostname or "", parts.port or _PORTS.get(parts.scheme, 0)
    except ValueError:
        return "", 0


def _read(owner: object, name: str) -> object:
    try:
        return getattr(owner, name, None)
    except Exception:  # noqa: BLE001 -- a property of a foreign class may raise anything; then it is unknown
        return None
