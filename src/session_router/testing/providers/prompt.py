"""What a simulated model reads: one read-only view of a request of any of the three APIs."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

Role: TypeAlias = Literal["user", "assistant", "tool"]
ToolChoiceMode: TypeAlias = Literal["auto", "any", "named", "none"]


@dataclass(frozen=True, kw_only=True, slots=True)
class ToolCall:
    """A call of one of the client's tools.

    Attributes:
        name: The tool's name.
        arguments: The arguments, as decoded JSON.
        id: The provider's id of the call; a reply may leave it `None` to have one minted.
        malformed: What OpenAI's APIs send in place of the arguments' JSON, as real models sometimes do;
            `None` for well-formed arguments.
    """

    name: str
    arguments: Mapping[str, Any]
    id: str | None = None
    malformed: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ToolResult:
    """What the client's tool returned for the call `call_id`."""

    call_id: str
    text: str
    is_error: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Turn:
    """One message of the history, in the words that the three APIs share."""

    role: Role
    text: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    tool_results: tuple[ToolResult, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Tool:
    """A tool that the client offers; `schema` is the JSON schema of its arguments."""

    name: str
    description: str
    schema: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class ToolChoice:
    """Whether a tool must be called; `name` is set exactly when `mode` is `named`."""

    mode: ToolChoiceMode = "auto"
    name: str | None = None

    @property
    def forced(self) -> bool:
        """Whether the model has to call a tool."""
        return self.mode in {"any", "named"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Prompt:
    """A request as a model reads it.

    Attributes:
        model: The model id that was asked for.
        system: System and developer text, joined by newlines.
        turns: The history, oldest first.
        tools: The client's function tools.
        tool_choice: Whether a tool must be called.
        parallel_tool_calls: Whether more than one call is allowed in one reply.
        json_schema: The schema that a text answer must satisfy, if one was asked for.
        json_mode: Whether a text answer must be some JSON object.
        thinking: Whether the request asked the model to think aloud.
    """

    model: str
    system: str = ""
    turns: tuple[Turn, ...] = ()
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice = ToolChoice()
    parallel_tool_calls: bool = True
    json_schema: Mapping[str, Any] | None = None
    json_mode: bool = False
    thinking: bool = False

    @property
    def last_user_text(self) -> str:
        """Return the text of the last user message, or an empty text."""
        return next((turn.text for turn in reversed(self.turns) if turn.role == "user"), "")

    @property
    def since_last_user(self) -> tuple[Turn, ...]:
        """Return the messages after the last user message: the tool loop so far."""
        start = max((at for at, turn in enumerate(self.turns) if turn.role == "user"), default=-1)
        return self.turns[start + 1 :]

    @property
    def call_number(self) -> int:
        """Return how many times a model has already answered in this turn, from 0."""
        return sum(turn.role == "assistant" for turn in self.since_last_user)

    @property
    def pending_results(self) -> tuple[ToolResult, ...]:
        """Return the tool results that no model has read yet."""
        found: list[ToolResult] = []
        for turn in reversed(self.turns):
            if turn.role == "assistant":
                break
            found[:0] = turn.tool_results
        return tuple(found)
