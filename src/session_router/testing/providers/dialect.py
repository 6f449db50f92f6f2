"""What the three APIs have in common, so that one exchange can serve them all."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from session_router.testing.providers.identifiers import Identifiers
from session_router.testing.providers.ledger import ApiName
from session_router.testing.providers.models import Provider, SimulatedModel
from session_router.testing.providers.prompt import Prompt
from session_router.testing.providers.records import AccountRecords
from session_router.testing.providers.refusal import Refusal, Rule
from session_router.testing.providers.reply import Reply
from session_router.testing.providers.signatures import Signatures
from session_router.testing.providers.tokens import Segment, Usage
from session_router.testing.providers.wire import JsonObject, encoded

Part: TypeAlias = Literal["opening", "text", "thinking", "tool_call", "other", "closing"]


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelRequest:
    """A request as the rules see it.

    Attributes:
        body: The decoded body.
        account: The account that the API key belongs to.
        model: The model that was asked for.
        records: What the provider remembers of the account.
        signatures: The provider's seals.
    """

    body: JsonObject
    account: str
    model: SimulatedModel
    records: AccountRecords
    signatures: Signatures


@dataclass(frozen=True, kw_only=True, slots=True)
class Drafting:
    """What is needed to write an answer, besides the request.

    Attributes:
        reply: What the model says.
        usage: What the request used.
        identifiers: The source of new ids.
        created: Seconds since the Unix epoch.
    """

    reply: Reply
    usage: Usage
    identifiers: Identifiers
    created: int


@dataclass(frozen=True, kw_only=True, slots=True)
class StreamEvent:
    """One server-sent event.

    Attributes:
        data: The JSON of the `data` line, or the text itself.
        part: Which part of the answer it carries.
        name: The `event` line, where the API has one.
    """

    data: JsonObject | str
    part: Part
    name: str | None = None

    def encoded(self) -> bytes:
        """Return the event as it goes over the wire."""
        data = self.data.encode("ascii") if isinstance(self.data, str) else encoded(self.data)
        head = f"event: {self.name}\n" if self.name else ""
        return head.encode("ascii") + b"data: " + data + b"\n\n"


@dataclass(frozen=True, kw_only=True, slots=True)
class Dialect:
    """One API: its address, its rules, and how it reads and writes.

    Attributes:
        name: The API's name in the ledger.
        provider: Whose models it serves.
        path: Where it listens.
        api_key: Finds the API key in the headers.
        bad_headers: Refuses headers, the key aside.
        rules: What a request must satisfy, in order.
        read: Turns a request into what the model reads.
        segments: Cuts a request into what is counted and cached.
        write: Writes the whole answer.
        stream: Cuts an answer into events; depends on nothing but the answer and the request's body.
        remember: Takes note of what was answered.
        error: Writes a refusal; the second argument is the request's id.
        no_key: Refuses a request without a key (`None`) or with an unknown one.
        no_model: Refuses a request for a model that is not served.
        too_long: Refuses a prompt: tokens, and the model's limit.
        rate_limited: The 429, for a model id.
        overloaded: The 503 or 529.
        request_id_header: The header that carries the request's id.
    """

    name: ApiName
    provider: Provider
    path: str
    api_key: Callable[[Mapping[str, str]], str | None]
    bad_headers: Callable[[Mapping[str, str]], Refusal | None]
    rules: Sequence[Rule[ModelRequest]]
    read: Callable[[ModelRequest], Prompt]
    segments: Callable[[ModelRequest], list[Segment]]
    write: Callable[[ModelRequest, Drafting], JsonObject]
    stream: Callable[[JsonObject, JsonObject], list[StreamEvent]]
    remember: Callable[[ModelRequest, JsonObject], None]
    error: Callable[[Refusal, str], JsonObject]
    no_key: Callable[[str | None], Refusal]
    no_model: Callable[[str], Refusal]
    too_long: Callable[[int, int], Refusal]
    rate_limited: Callable[[str], Refusal]
    overloaded: Refusal
    request_id_header: str
