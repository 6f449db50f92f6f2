"""What a simulated model says, before an API puts it into its own form."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from session_router.testing.providers.prompt import ToolCall

Stop: TypeAlias = Literal["end", "length", "refusal"]
ClientItemType: TypeAlias = Literal["computer_call", "apply_patch_call", "mcp_approval_request"]


@dataclass(frozen=True, kw_only=True, slots=True)
class WebSearch:
    """A search that the provider runs itself.

    Attributes:
        query: What is searched for.
        url: The address of the single result.
        title: The title of the single result.
    """

    query: str
    url: str = "https://example.com/"
    title: str = "Example"


@dataclass(frozen=True, kw_only=True, slots=True)
class ClientItem:
    """An OpenAI item, other than a function call, that the client has to run or approve.

    `fields` are merged over the defaults that the simulator fills in.
    """

    type: ClientItemType
    fields: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    """One answer of a model.

    Attributes:
        text: The text, or the words of the refusal where `stop` is `refusal`.
        tool_calls: Calls of the client's tools, to be run in parallel.
        thinking: What the model thinks first; shown only where the request allows it. A model that was asked
            to think and is given nothing thinks a stock phrase, as real ones always do.
        redact_thinking: Whether Anthropic hides the thinking in a `redacted_thinking` block.
        searches: Searches that the provider runs, before the text.
        pause: Whether Anthropic stops with `pause_turn` before the searches have their results. The result
            follows when the client sends the paused message back.
        client_items: OpenAI items that the client has to answer; Responses API only.
        uses_container: Whether Anthropic reports a code-execution container.
        stop: Why the model stopped. Tool calls and pauses are reported as such whatever this says.
    """

    text: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    thinking: str | None = None
    redact_thinking: bool = False
    searches: tuple[WebSearch, ...] = ()
    pause: bool = False
    client_items: tuple[ClientItem, ...] = ()
    uses_container: bool = False
    stop: Stop = "end"


STOCK_THINKING = "Let me consider what was asked before I answer."
"""What a model thinks when it was asked to think and its behaviour gave nothing."""
