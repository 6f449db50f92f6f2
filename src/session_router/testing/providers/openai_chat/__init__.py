"""OpenAI's Chat Completions API."""

from session_router.testing.providers import openai_errors
from session_router.testing.providers.dialect import Dialect
from session_router.testing.providers.openai_chat import reading, rules, writing
from session_router.testing.providers.refusal import Refusal


def _no_model(model: str) -> Refusal:
    message = f"The model `{model}` does not exist or you do not have access to it." if model else "you must provide a model parameter"
    return Refusal(message=message, status=404 if model else 400, code="model_not_found" if model else None)


def _too_long(tokens: int, limit: int) -> Refusal:
    return Refusal(
        message=f"This model's maximum context length is {limit} tokens. However, your messages resulted in {tokens} tokens. Please reduce "
        "the length of the messages.",
        param="messages",
        code="context_length_exceeded",
    )


OPENAI_CHAT = Dialect(
    name="openai_chat",
    provider="openai",
    path="/openai/v1/chat/completions",
    api_key=openai_errors.api_key,
    bad_headers=openai_errors.no_bad_headers,
    rules=(rules.parameters, rules.messages, rules.tools, rules.tool_calls, rules.json_mode),
    read=reading.read,
    segments=reading.segments,
    write=writing.write,
    stream=writing.stream,
    remember=writing.remember,
    error=openai_errors.error_body,
    no_key=openai_errors.no_key,
    no_model=_no_model,
    too_long=_too_long,
    rate_limited=openai_errors.rate_limited,
    overloaded=openai_errors.OVERLOADED,
    request_id_header="x-request-id",
)
"""How OpenAI's Chat Completions API is simulated."""
