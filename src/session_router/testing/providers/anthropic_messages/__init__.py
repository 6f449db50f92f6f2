"""Anthropic's Messages API."""

from collections.abc import Mapping

from session_router.testing.providers.anthropic_messages import cache_rules, reading, rules, thinking_rules, writing
from session_router.testing.providers.dialect import Dialect
from session_router.testing.providers.refusal import Refusal
from session_router.testing.providers.wire import JsonObject


def _api_key(headers: Mapping[str, str]) -> str | None:
    return headers.get("x-api-key") or headers.get("authorization", "").removeprefix("Bearer ").strip() or None


def _bad_headers(headers: Mapping[str, str]) -> Refusal | None:
    return None if headers.get("anthropic-version") else Refusal(message="anthropic-version: header is required")


def _error(refusal: Refusal, request_id: str) -> JsonObject:
    return {"type": "error", "error": {"type": refusal.kind, "message": refusal.message}, "request_id": request_id}


def _no_key(key: str | None) -> Refusal:
    message = "x-api-key header is required" if key is None else "invalid x-api-key"
    return Refusal(message=message, status=401, kind="authentication_error")


def _no_model(model: str) -> Refusal:
    return Refusal(message=f"model: {model}" if model else "model: Field required", status=404 if model else 400, kind="not_found_error")


def _too_long(tokens: int, limit: int) -> Refusal:
    return Refusal(message=f"prompt is too long: {tokens} tokens > {limit} maximum")


def _rate_limited(_model: str) -> Refusal:
    message = "This request would exceed your organization's rate limit. Please reduce the prompt length or try again later."
    return Refusal(message=message, status=429, kind="rate_limit_error")


ANTHROPIC_MESSAGES = Dialect(
    name="anthropic_messages",
    provider="anthropic",
    path="/anthropic/v1/messages",
    api_key=_api_key,
    bad_headers=_bad_headers,
    rules=(
        rules.parameters,
        rules.roles,
        rules.block_shapes,
        rules.trailing_space,
        cache_rules.cache_control,
        rules.tools,
        thinking_rules.settings,
        rules.container,
        rules.tool_ids,
        rules.tool_pairs,
        thinking_rules.server_tools,
        thinking_rules.signatures,
        thinking_rules.placement,
    ),
    read=reading.read,
    segments=reading.segments,
    write=writing.write,
    stream=writing.stream,
    remember=writing.remember,
    error=_error,
    no_key=_no_key,
    no_model=_no_model,
    too_long=_too_long,
    rate_limited=_rate_limited,
    overloaded=Refusal(message="Overloaded", status=529, kind="overloaded_error"),
    request_id_header="request-id",
)
"""How Anthropic's Messages API is simulated."""
