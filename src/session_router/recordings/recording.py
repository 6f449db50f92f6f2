"""One recorded session: what every format is read into."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

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
        line: Line in its file, from 1; 0 when it came from elsewhere. Of a session out of traces, its number.
        needs: What a scorer said, as `p_success` in [0, 1] by turn and model, where that was recorded.
    """

    session_id: str
    source: str = ""
    model: str | None = None
    messages: tuple[RecordedMessage, ...]
    tools: int = 0
    line: int = 0
    needs: Mapping[int, Mapping[str, float]] = field(default_factory=dict[int, "Mapping[str, float]"])
