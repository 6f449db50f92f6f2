"""The session's id in the OpenTelemetry context, from where it gets onto every span."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from opentelemetry import context as contexts

from session_router.identity import thread_of
from session_router_otel.conventions import SESSION_ID

if TYPE_CHECKING:
    from collections.abc import Generator

    from opentelemetry.context import Context

    from session_router.core.decision import Decision


@contextmanager
def session(name: str) -> Generator[None]:
    """Put every span that begins in this context into the session `name`.

    A LangGraph run with a `thread_id` needs no such thing. OpenInference's `using_session` does the same.

    Args:
        name: Its id, unique over all applications that export to one backend, such as a UUID.
    """
    token = contexts.attach(within(name))
    try:
        yield
    finally:
        contexts.detach(token)


def within(name: str, context: Context | None = None) -> Context:
    """Return `context`, or the current one, with the session `name` in it."""
    return contexts.set_value(SESSION_ID, name, context)


def session_in(context: Context | None = None) -> str | None:
    """Return the session of `context`, or of the current one; `None` when it names none."""
    name = contexts.get_value(SESSION_ID, context)
    return name if isinstance(name, str) and name else None


def session_of(decision: Decision) -> str | None:
    """Return the id under which an operator finds the session of `decision`.

    What the application put into the context comes first, then the thread that it named, so that the spans of other
    instrumentations stand beside ours. A session without a name has the router's own id.
    """
    return session_in() or thread_of(decision.session_id) or decision.session_id
