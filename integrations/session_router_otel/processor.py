"""Puts the session's id onto every span, whoever makes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry.sdk.trace import SpanProcessor

from session_router_otel.conventions import CONVERSATION_ID, SESSION_ID
from session_router_otel.sessions import session_in

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import Span


class SessionSpanProcessor(SpanProcessor):
    """Copies the session's id from the context to `session.id` and `gen_ai.conversation.id`; what a span brings along stays."""

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """See a span begin."""
        name = session_in(parent_context)
        if name is None:
            return
        present = span.attributes or {}
        for key in (SESSION_ID, CONVERSATION_ID):
            if key not in present:
                span.set_attribute(key, name)
