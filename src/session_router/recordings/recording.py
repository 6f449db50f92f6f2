"""One recorded session: what every format is read into."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from session_router.core.pricing import Usage
    from session_router.core.step import Step


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedMessage:
    """One message of a recorded session.

    Attributes:
        step: The message as routing sees it; an AI message has no author, because a replay decides who writes it.
        text: What a human typed; empty for every other message.
        said: What an AI message says; empty for every other message.
        usage: Tokens of the call that wrote it, as the provider counted them; `None` when that was not recorded,
            or the message is not an AI message.
    """

    step: Step
    text: str = ""
    said: str = ""
    usage: Usage | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """One recorded session.

    Attributes:
        session_id: Its name in the recording.
        source: Where it comes from, as the recording says; empty when it does not.
        model: The model that was recorded; `None` when unknown.
        messages: Oldest first.
        tools: Number of tools on offer; where the recording does not list them, 1 when any is ever called: an agent has its tools
            from the start.
        line: Line in its file, from 1; 0 when it came from elsewhere.
    """

    session_id: str
    source: str = ""
    model: str | None = None
    messages: tuple[RecordedMessage, ...]
    tools: int = 0
    line: int = 0
