"""Which API a chat model speaks, and whose server-side state it shares. No provider package is imported."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from pydantic import SecretStr

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_core.language_models import BaseChatModel

OPENAI_CHAT = "openai-chat"
OPENAI_RESPONSES = "openai-responses"
ANTHROPIC = "anthropic"
GOOGLE_GENAI = "google-genai"

_DIALECT_OF_TYPE: Mapping[str, str] = {
    "openai-chat": OPENAI_CHAT,
    "azure-openai-chat": OPENAI_CHAT,
    # Three transports of one API: content blocks and cache markers have the same shape on all of them.
    "anthropic-chat": ANTHROPIC,
    "anthropic-bedrock-chat": ANTHROPIC,
    "anthropic-chat-vertexai": ANTHROPIC,
    "chat-google-generative-ai": GOOGLE_GENAI,
}

_DIALECT_OF_PROVIDER: Mapping[str, str] = {
    "openai": OPENAI_RESPONSES,
    "anthropic": ANTHROPIC,
    "google_genai": GOOGLE_GENAI,
    "google_vertexai": GOOGLE_GENAI,
}

_DIGEST_BYTES = 8

_ENDPOINTS = ("openai_api_base", "anthropic_api_url", "azure_endpoint", "base_url", "endpoint", "endpoint_url")
_SECRETS = ("openai_api_key", "anthropic_api_key", "google_api_key", "api_key", "azure_ad_token")
_SCOPES = ("openai_organization", "project", "location", "region_name", "vertexai")


def family_of(dialect: str) -> str:
    """Name the provider's house of APIs: both OpenAI dialects read one another's files and images."""
    return "openai" if dialect in {OPENAI_CHAT, OPENAI_RESPONSES} else dialect


def dialect_of_provider(provider: object, otherwise: str) -> str:
    """Name the dialect whose own blocks a message of `response_metadata["model_provider"]` carries.

    Args:
        provider: What the message says of its provider.
        otherwise: The answer when it says nothing we know.
    """
    return _DIALECT_OF_PROVIDER.get(provider, otherwise) if isinstance(provider, str) else otherwise


def dialect_of(model: BaseChatModel, *, tools: Sequence[Any] = (), settings: Mapping[str, Any] | None = None) -> str:
    """Name the API that `model` speaks.

    Args:
        model: A chat model; nothing is called that could reach the network.
        tools: Tools of the request: OpenAI's own tools move a request to the Responses API.
        settings: Keyword arguments of the request, which can do the same.

    Returns:
        `openai-chat`, `openai-responses`, `anthropic`, `google-genai`, or the model's own `_llm_type`.
    """
    kind = _llm_type(model)
    if _uses_responses(model, tools, settings or {}):
        return OPENAI_RESPONSES
    return _DIALECT_OF_TYPE.get(kind, kind)


def account_of(model: BaseChatModel) -> str:
    """Name the endpoint and account of `model` by a short digest; the key cannot be read back from it.

    Returns:
        16 hex digits, equal for models that share files, containers and stored responses; empty when neither
        an endpoint nor a key can be read (a key that only a callable knows is not asked for).
    """
    clients = [client for name in ("root_client", "root_async_client") if (client := _read(model, name)) is not None]
    endpoints = [str(found) for owner in clients if (found := _read(owner, "base_url"))][:1]
    endpoints = endpoints or [_plain(found) for name in _ENDPOINTS if (found := _read(model, name))]
    names = dict.fromkeys([*_SECRETS, *_declared_secrets(model)])
    secrets = [_secret(found) for name in names if (found := _read(model, name))]
    if None in secrets or not (endpoints or any(secrets)):
        return ""
    scopes = [str(found) for owner in clients for name in ("organization", "project") if (found := _read(owner, name))]
    scopes = scopes[:2] or [_plain(found) for name in _SCOPES if (found := _read(model, name))]
    digest = hashlib.blake2b(digest_size=_DIGEST_BYTES, person=b"account")
    # What one route stores under an id, another that keeps nothing must not refer to, and its client would tear it apart.
    unstored = ["unstored"] if _read(model, "store") is False else []
    family = family_of(_DIALECT_OF_TYPE.get(kind := _llm_type(model), kind))
    for field in (family, *endpoints, "", *map(str, secrets), "", *scopes, *unstored):
        raw = field.rstrip("/").encode("utf-8", "surrogatepass")
        digest.update(b"%d:" % len(raw) + raw)
    return digest.hexdigest()


def _llm_type(model: BaseChatModel) -> str:
    kind = _read(model, "_llm_type")
    return kind if isinstance(kind, str) else type(model).__name__


def _uses_responses(model: BaseChatModel, tools: Sequence[Any], settings: Mapping[str, Any]) -> bool:
    # The class decides from its fields and from the payload: ask it with the payload it would build.
    decide = _read(model, "_use_responses_api")
    if not callable(decide):
        return bool(_read(model, "use_responses_api"))
    defaults = _read(model, "_default_params")
    payload: dict[str, Any] = {**(cast("Mapping[str, Any]", defaults) if isinstance(defaults, Mapping) else {}), **settings}
    if tools:
        payload["tools"] = [tool if isinstance(tool, Mapping) else {"type": "function"} for tool in tools]
    return bool(decide(payload))


def _declared_secrets(model: BaseChatModel) -> tuple[str, ...]:
    declared = _read(model, "lc_secrets")
    # Servers of tools are declared as a secret too, but do not name the account.
    return tuple(name for name in cast("Mapping[str, str]", declared) if name != "mcp_servers") if isinstance(declared, Mapping) else ()


def _secret(value: object) -> str | None:
    text = value.get_secret_value() if isinstance(value, SecretStr) else value
    return text if isinstance(text, str) else None


def _plain(value: object) -> str:
    if isinstance(value, Mapping):
        return repr(sorted((str(key), str(one)) for key, one in cast("Mapping[object, object]", value).items()))
    return str(value)


def _read(owner: object, name: str) -> object:
    try:
        return getattr(owner, name, None)
    except Exception:  # noqa: BLE001 -- a property of a foreign class may raise anything; then it is unknown
        return None
