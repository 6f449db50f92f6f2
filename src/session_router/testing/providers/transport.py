"""Answers over HTTP: events, and answers that break off."""

from collections.abc import Mapping, Sequence

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from session_router.testing.providers.dialect import StreamEvent
from session_router.testing.providers.faults import Fault
from session_router.testing.providers.wire import JsonObject, encoded

_EVENT_STREAM = "text/event-stream; charset=utf-8"


class ChunkedResponse(Response):
    """Sends its chunks one by one. One that is cut never says that it ended, so that the server drops the connection."""

    def __init__(self, chunks: Sequence[bytes], *, cut: bool, media_type: str, headers: Mapping[str, str]) -> None:
        """Hold the chunks; with `cut`, the answer stays unfinished after them."""
        super().__init__(media_type=media_type, headers=dict(headers))
        del self.headers["content-length"]
        self._chunks, self._cut = chunks, cut

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the answer."""
        del scope, receive
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        for chunk in self._chunks:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        if not self._cut:
            await send({"type": "http.response.body", "body": b"", "more_body": False})


def event_stream(events: Sequence[StreamEvent], *, headers: Mapping[str, str], fault: Fault | None = None) -> Response:
    """Return a stream of `events`, up to where `fault` cuts it."""
    delivered = events if fault is None else delivered_events(events, fault)
    return ChunkedResponse([event.encoded() for event in delivered], cut=fault is not None, media_type=_EVENT_STREAM, headers=headers)


def json_body(body: JsonObject, *, status: int = 200, headers: Mapping[str, str]) -> Response:
    """Return `body` whole."""
    return Response(encoded(body), status_code=status, media_type="application/json", headers=dict(headers))


def broken_body(*, headers: Mapping[str, str]) -> Response:
    """Return an answer whose body never comes."""
    return ChunkedResponse([b" "], cut=True, media_type="application/json", headers=headers)


def delivered_events(events: Sequence[StreamEvent], fault: Fault) -> list[StreamEvent]:
    """Return the events that still arrive: those before the break, or all but the closing ones where it never comes."""
    parts = [event.part for event in events]
    whole = next((at for at, part in enumerate(parts) if part == "closing"), len(events))
    if fault.at == "before_first_token":
        end = next((at for at, part in enumerate(parts) if part != "opening"), whole)
    elif fault.at == "after_text":
        texts = [at for at, part in enumerate(parts) if part == "text"]
        end = texts[fault.text_deltas] if fault.text_deltas < len(texts) else whole
    else:
        # The first two events announce the call; the third is inside its arguments.
        calls = [at for at, part in enumerate(parts) if part == "tool_call"]
        end = calls[2] + 1 if len(calls) > 2 else whole  # noqa: PLR2004 -- as above
    return list(events[:end])
