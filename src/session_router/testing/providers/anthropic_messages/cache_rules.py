"""What the Messages API demands of `cache_control`."""

from collections.abc import Iterator

from session_router.testing.providers.anthropic_messages.blocks import blocks_of
from session_router.testing.providers.dialect import ModelRequest
from session_router.testing.providers.refusal import Refusal
from session_router.testing.providers.wire import JsonObject, as_object, as_text, objects

_MOST_MARKS = 4


def cache_control(request: ModelRequest) -> Iterator[Refusal]:
    """At most four marks, all ephemeral, those for an hour before those for five minutes."""
    marks = list(_marks(request.body))
    for place, mark in marks:
        if mark.get("type") != "ephemeral":
            yield Refusal(
                message=f"{place}.cache_control: Input tag '{mark.get('type')}' found using 'type' does not match any of the expected "
                "tags: 'ephemeral'"
            )
        if mark.get("ttl", "5m") not in {"5m", "1h"}:
            yield Refusal(message=f"{place}.cache_control.ephemeral.ttl: Input should be '5m' or '1h'")
        for name in mark:
            if name not in {"type", "ttl"}:
                yield Refusal(message=f"{place}.cache_control.ephemeral.{name}: Extra inputs are not permitted")
    if len(marks) > _MOST_MARKS:
        yield Refusal(message=f"A maximum of {_MOST_MARKS} blocks with cache_control may be provided. Found {len(marks)}.")
    shorter_seen = False
    for place, mark in marks:
        shorter_seen = shorter_seen or mark.get("ttl", "5m") == "5m"
        if shorter_seen and mark.get("ttl") == "1h":
            yield Refusal(
                message=f"{place}.cache_control.ttl: a ttl='1h' cache_control block must not come after a ttl='5m' cache_control block. "
                "Note that blocks are processed in the following order: `tools`, `system`, `messages`."
            )


def _marks(body: JsonObject) -> Iterator[tuple[str, JsonObject]]:
    """Yield place and value of every mark, in the order in which the provider reads them."""
    for at, tool in enumerate(objects(body.get("tools"))):
        if tool.get("cache_control") is not None:
            yield f"tools.{at}", as_object(tool["cache_control"])
    for at, part in enumerate(objects(body.get("system"))):
        if part.get("cache_control") is not None:
            yield f"system.{at}", as_object(part["cache_control"])
    last_explicit: JsonObject | None = None
    for block in blocks_of(body):
        mark = block.data.get("cache_control")
        last_explicit = None if mark is None else as_object(mark)
        if mark is not None:
            yield f"{block.place}.{as_text(block.data.get('type'))}", as_object(mark)
    automatic = body.get("cache_control")
    if automatic is not None and last_explicit is None:
        yield "messages", as_object(automatic)
