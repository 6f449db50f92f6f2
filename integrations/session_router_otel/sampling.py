"""Sampling by session: one that is kept is kept whole."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from opentelemetry import trace
from opentelemetry.sdk.trace.sampling import Decision, Sampler, SamplingResult, TraceIdRatioBased

from session_router.core.checking import check_number
from session_router_otel.conventions import SESSION_ID
from session_router_otel.sessions import session_in

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opentelemetry.context import Context
    from opentelemetry.trace import Link, SpanKind, TraceState
    from opentelemetry.util.types import Attributes

_ALL = 2**64


class SessionSampler(Sampler):
    """Samples by a hash of the session's id, on every replica alike. Every turn is a trace: sampling by trace would split sessions.

    What is kept at a smaller share is kept at a larger one. Spans within a trace follow their parent. A parent in another process is
    followed only where the session is not known, since it may have been sampled by trace; so is the share of trace ids.

    Args:
        share: Of sessions to keep, in [0, 1].
        follow_remote: Whether a parent in another process is followed in any case.

    Raises:
        ConfigurationError: The share is no such number.
    """

    def __init__(self, share: float, *, follow_remote: bool = False) -> None:
        check_number(share, key="share", rule="give a number in [0, 1].", high=1.0)
        self._share = share
        self._bound = round(share * _ALL)
        self._follow_remote = follow_remote
        self._of_traces = TraceIdRatioBased(share)

    def keeps(self, session: str) -> bool:
        """Whether the session is kept."""
        return int.from_bytes(hashlib.blake2b(session.encode("utf-8", "surrogatepass"), digest_size=8).digest()) < self._bound

    def should_sample(
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        """Say whether a span that begins is kept."""
        parent = trace.get_current_span(parent_context).get_span_context()
        session = session_in(parent_context) or (attributes or {}).get(SESSION_ID)
        if parent.is_valid and (not parent.is_remote or self._follow_remote or not isinstance(session, str)):
            kept = parent.trace_flags.sampled
        elif isinstance(session, str):
            kept = self.keeps(session)
        else:
            return self._of_traces.should_sample(None, trace_id, name, kind, attributes, links, trace_state)
        return SamplingResult(Decision.RECORD_AND_SAMPLE if kept else Decision.DROP, attributes if kept else None, parent.trace_state)

    def get_description(self) -> str:
        """Return a name for logs."""
        return f"SessionSampler{{{self._share}}}"
