"""Message content on spans: none, unless the conventions' own variable asks for it."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from session_router_otel.conventions import CAPTURE_CONTENT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_core.messages import BaseMessage

_ON_SPANS = frozenset({"span_only", "span_and_event", "true"})
"""`true` is what the variable meant before it had modes, and what other instrumentations still read."""

_ROLES = {"human": "user", "ai": "assistant"}


def wanted() -> bool:
    """Whether spans may carry content. Read anew at every call: whoever takes it back is obeyed at once."""
    return os.environ.get(CAPTURE_CONTENT, "").strip().lower() in _ON_SPANS


def as_json(messages: Sequence[BaseMessage]) -> str:
    """Return messages in the form of the conventions; what is no text is named by its kind only."""
    return json.dumps([_plain(message) for message in messages], ensure_ascii=False, default=str)


def _plain(message: BaseMessage) -> dict[str, Any]:
    parts: list[dict[str, Any]] = [{"type": "text", "content": message.text}] if message.text else []
    answers: object = getattr(message, "tool_call_id", None)
    if answers is not None:
        return {"role": "tool", "parts": [{"type": "tool_call_response", "id": answers, "response": message.text}]}
    calls: Sequence[Any] = getattr(message, "tool_calls", ())
    parts += [{"type": "tool_call", "id": call["id"], "name": call["name"], "arguments": call["args"]} for call in calls]
    return {"role": _ROLES.get(message.type, message.type), "parts": parts}
