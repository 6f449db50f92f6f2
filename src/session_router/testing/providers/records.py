"""What a provider remembers of an account between requests."""

from dataclasses import dataclass, field

from session_router.testing.providers.wire import JsonObject


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredItem:
    """An output item of the Responses API.

    Attributes:
        item: The item as it was sent to the client.
        reasoning_id: The reasoning item that came before it and must come back with it, if any.
        following_id: For a reasoning item, the item that came after it and must come back with it.
    """

    item: JsonObject
    reasoning_id: str | None = None
    following_id: str | None = None


@dataclass(kw_only=True, slots=True)
class AccountRecords:
    """One account's state on the provider's side. Changed only between requests.

    Attributes:
        responses: Every stored response: its id, and the whole conversation up to and with its output.
        items: Every stored output item by its id.
        unstored: Ids that were given out with `store` set to false, and so cannot be found.
        paused: Ids of Anthropic server tool calls that await their result after `pause_turn`.
        containers: Ids of code-execution containers.
    """

    responses: dict[str, tuple[JsonObject, ...]] = field(default_factory=dict[str, tuple[JsonObject, ...]])
    items: dict[str, StoredItem] = field(default_factory=dict[str, StoredItem])
    unstored: set[str] = field(default_factory=set[str])
    paused: set[str] = field(default_factory=set[str])
    containers: set[str] = field(default_factory=set[str])
