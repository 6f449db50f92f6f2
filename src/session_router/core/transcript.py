"""What routing needs of a message history. No message text lives here.

A `Transcript` is extended step by step; every step knows the digest and the token count of all
that stands before it, so that "has this model read that far?" is one comparison.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from session_router.core.trail import Trail

if TYPE_CHECKING:
    from collections.abc import Iterable

    from session_router.core.governance import Tag

DIGEST_BYTES = 16
RECENT_TURNS = 4
"""Turns, the present one included, whose typed messages are looked up for a scorer."""

EMPTY_DIGEST = b"\x00" * DIGEST_BYTES


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One thing that an AI message waits for."""

    id: str
    kind: AskKind = AskKind.TOOL_CALL


class BindingKind(StrEnum):
    """A part of a message that not every model can take back."""

    SIGNED_THINKING = "signed_thinking"  # Anthropic `signature`, `redacted_thinking`
    THOUGHT_SIGNATURE = "thought_signature"  # Gemini
    ENCRYPTED_REASONING = "encrypted_reasoning"  # OpenAI `encrypted_content`
    SERVER_TOOL_BLOCK = "server_tool_block"  # a provider's own tool and its result
    CLIENT_TOOL_BLOCK = "client_tool_block"  # OpenAI computer_call and its kin
    ITEM_ID = "item_id"  # OpenAI rs_*, msg_*, fc_*: known to the account that made them
    CACHE_MARKER = "cache_marker"  # Anthropic `cache_control`
    FOREIGN_BLOCK = "foreign_block"  # a content block of one provider's own dialect
    PREVIOUS_RESPONSE = "previous_response"  # history that only the provider holds
    CONTAINER = "container"  # Anthropic code-execution container
    FILE_ID = "file_id"  # an uploaded file, by id


class BindingReach(StrEnum):
    """How far a bound part can travel."""

    MODEL = "model"  # only the model that wrote it
    ACCOUNT = "account"  # any model of the same endpoint and account
    DIALECT = "dialect"  # any model that speaks the same API


KEPT_BY_PROVIDER: frozenset[BindingKind] = frozenset({BindingKind.PREVIOUS_RESPONSE, BindingKind.CONTAINER, BindingKind.FILE_ID})
"""Kinds whose content we do not hold: no conversion can carry them to another account."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """Ties a step to a model, an account or a dialect.

    Attributes:
        kind: What is bound.
        reach: How far it can travel.
        holder: The model name, the account or the dialect that `reach` speaks of; empty when unknown,
            in which case no target accepts it.
    """

    kind: BindingKind
    reach: BindingReach
    holder: str

    @property
    def convertible(self) -> bool:
        """Whether stripping or rewriting can carry the message elsewhere."""
        return self.kind not in KEPT_BY_PROVIDER


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One message, as routing sees it.

    Attributes:
        role: Who speaks.
        digest: `DIGEST_BYTES` bytes over everything that the provider would read of this message.
        tokens: Estimated tokens of the message, >= 0.
        asks: What an AI message waits for, in order.
        answers: Ids that this message answers (a tool message, or a human approval of a client block).
        author: Model name of an AI message; the provider's id when no route is known for it; `None` when
            no model wrote it (call limits, "need more steps", seeded examples).
        agent: Agent whose call an AI message answered; `None` when nobody wrote it down.
        failed: Whether a tool message reports an error.
        injected: A human message that no human typed (a summary, a notification, the media of a file tool).
        partial: A streamed chunk that is not the last one.
        needs: Capabilities that a model must have to read this message, such as `images`.
        bindings: What ties this message to a model, account or dialect.
        tag: Governance label; `None` when nobody labelled it.
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

    @property
    def opens_turn(self) -> bool:
        """Whether a human typed this: an approval answers a call, and what was injected nobody typed."""
        return self.role is Role.HUMAN and not self.injected and not self.answers


@dataclass(frozen=True, slots=True)
class Prefix:
    """Everything up to and including one step: its digest and its tokens."""

    digest: bytes
    tokens: int


def chain(digest: bytes, following: bytes) -> bytes:
    """Digest of a prefix after one more step."""
    return hashlib.blake2b(digest + following, digest_size=DIGEST_BYTES).digest()


NO_HEAD = Prefix(EMPTY_DIGEST, 0)
"""Neither a system prompt nor tools."""


@dataclass(frozen=True, slots=True)
class Transcript:
    """A history as it will be sent, plus what is sent before it (system prompt and tools).

    Build it with `Transcript(head=...)` and `extended(...)`, which shares what is already there, so that the
    cost of a new message does not depend on the messages before it.

    Attributes:
        head: What is sent before the first message. It may change from call to call (a dynamic prompt).
        steps: The messages, oldest first.
        prefixes: One per step: `prefixes[i]` covers `steps[: i + 1]`, without the head.
        end: The last of `prefixes`; the empty prefix where there is none.
        needs: The union over all steps.
        bindings: The union over all steps.
        turn: Number of human messages that a human typed, approvals left out; 0 before the first.
        opening: Prefix after the first typed human message: the stable head of the session, or `None`.
        typed: Indices of the steps that opened the last turns, at most `RECENT_TURNS`, oldest first.
        tool_errors: Number of tool results that report an error.
        tags: Governance labels of all steps; `None` stands for "somebody did not label a step".
    """

    head: Prefix = NO_HEAD
    steps: Trail[Step] = field(default_factory=Trail[Step])
    prefixes: Trail[Prefix] = field(default_factory=Trail[Prefix])
    end: Prefix = NO_HEAD
    needs: frozenset[str] = frozenset()
    bindings: frozenset[Binding] = frozenset()
    turn: int = 0
    opening: Prefix | None = None
    typed: tuple[int, ...] = ()
    tool_errors: int = 0
    tags: frozenset[Tag | None] = frozenset()

    def extended(self, steps: Iterable[Step]) -> Transcript:
        """Return this transcript with `steps` after it."""
        new = tuple(steps)
        if not new:
            return self
        last = self.end
        prefixes: list[Prefix] = []
        needs: set[str] = set()
        bindings: set[Binding] = set()
        turn, opening, typed, tool_errors = self.turn, self.opening, self.typed, self.tool_errors
        for step in new:
            last = Prefix(chain(last.digest, step.digest), last.tokens + step.tokens)
            prefixes.append(last)
            needs.update(step.needs)
            bindings.update(step.bindings)
            if step.opens_turn:
                turn += 1
                opening = opening or last
                typed = (*typed, len(self.steps) + len(prefixes) - 1)[-RECENT_TURNS:]
            tool_errors += step.failed
        return Transcript(
            head=self.head,
            steps=self.steps.extended(new),
            prefixes=self.prefixes.extended(prefixes),
            end=last,
            needs=self.needs | needs if needs else self.needs,
            bindings=self.bindings | bindings if bindings else self.bindings,
            turn=turn,
            opening=opening,
            typed=typed,
            tool_errors=tool_errors,
            tags=self.tags | {step.tag for step in new},
        )

    def headed(self, head: Prefix) -> Transcript:
        """Return this transcript behind another system prompt or other tools."""
        if head == self.head:
            return self
        # Spelled out: `dataclasses.replace` costs several times as much, and this runs at every call.
        return Transcript(
            head=head,
            steps=self.steps,
            prefixes=self.prefixes,
            end=self.end,
            needs=self.needs,
            bindings=self.bindings,
            turn=self.turn,
            opening=self.opening,
            typed=self.typed,
            tool_errors=self.tool_errors,
            tags=self.tags,
        )

    @property
    def prefix(self) -> Prefix:
        """All of it, head included."""
        return self._behind_head(self.end) if self.prefixes else self.head

    @property
    def tokens(self) -> int:
        """Estimated tokens of all of it, head included."""
        return self.head.tokens + self.end.tokens

    def prefix_at(self, steps: int) -> Prefix | None:
        """Prefix of the head and the first `steps` steps, or `None` when there are fewer."""
        if steps == 0:
            return self.head
        return self._behind_head(self.prefixes[steps - 1]) if 0 < steps <= len(self.prefixes) else None

    def _behind_head(self, prefix: Prefix) -> Prefix:
        return Prefix(chain(self.head.digest, prefix.digest), self.head.tokens + prefix.tokens)
