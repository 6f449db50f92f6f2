"""One message, as routing sees it. No message text lives here."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from session_router.core.governance import join
from session_router.core.value import maker, value

if TYPE_CHECKING:
    from session_router.core.binding import Binding
    from session_router.core.governance import Tag

DIGEST_BYTES = 16


class Role(StrEnum):
    """Who speaks."""

    SYSTEM = "system"
    HUMAN = "human"
    AI = "ai"
    TOOL = "tool"


class AskKind(StrEnum):
    """What an AI message waits for."""

    TOOL_CALL = "tool_call"  # a call that the application runs
    CLIENT_BLOCK = "client_block"  # OpenAI computer_call, apply_patch_call, mcp_approval_request
    INVALID_CALL = "invalid_call"  # arguments that did not parse; the framework repairs the history
    SERVER_TOOL = "server_tool"  # run by the provider and not finished; the same request must be resent


@value
class Ask:
    """One thing that an AI message waits for."""

    id: str
    kind: AskKind = AskKind.TOOL_CALL


new_ask = maker(Ask)


@value
class Step:
    """One message, as routing sees it.

    Attributes:
        role: Who speaks.
        digest: `DIGEST_BYTES` bytes over everything that the provider would read of this message.
        tokens: Estimated tokens of the message, >= 0.
        asks: What an AI message waits for, in order.
        answers: Ids that this message answers (a tool message, or a human approval of a client block).
        author: Model name of an AI message; the provider's id when no route is known for it, or several share it; `None` when
            no model wrote it (call limits, "need more steps", seeded examples).
        agent: Agent whose call an AI message answered; `None` when nobody wrote it down.
        failed: Whether a tool message reports an error.
        injected: A human message that no human typed (a summary, a notification, the media of a file tool).
        partial: A streamed chunk that is not the last one.
        needs: Capabilities that a model must have to read this message, such as `images`.
        bindings: What ties this message to a model, account or dialect.
        tag: Governance label; `None` when nobody labelled it.
        found: What raises that label, joined with it: what detectors found, and what the message bore before it was changed in place;
            `None` for nothing.
        unasked: A tool's result whose call is not in the history, and that bears no label of its own: nobody can tell what its
            arguments carried.
    """

    role: Role
    digest: bytes
    tokens: int
    asks: tuple[Ask, ...] = ()
    answers: tuple[str, ...] = ()
    author: str | None = None
    agent: str | None = None
    failed: bool = False
    injected: bool = False
    partial: bool = False
    needs: frozenset[str] = frozenset()
    bindings: tuple[Binding, ...] = ()
    tag: Tag | None = None
    found: Tag | None = None
    unasked: bool = False

    def label(self, *, unlabelled: Tag) -> Tag:
        """Return its label, raised by what was found.

        Args:
            unlabelled: What counts where nobody labelled it.
        """
        own = unlabelled if self.tag is None else self.tag
        return own if self.found is None else join(own, self.found)

    @property
    def opens_turn(self) -> bool:
        """Whether a human typed this: an approval answers a call, and what was injected nobody typed."""
        return self.role is Role.HUMAN and not self.injected and not self.answers


new_step = maker(Step)
