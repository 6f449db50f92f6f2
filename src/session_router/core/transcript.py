"""What routing needs of a message history. No message text lives here.

A `Transcript` is extended step by step; every step knows the digest and the token count of all
that stands before it, so that "has this model read that far?" is one comparison.
"""

from __future__ import annotations

import hashlib
from dataclasses import field
from typing import TYPE_CHECKING, NamedTuple

from session_router.core.boundary import BEGINNING, Position, advance
from session_router.core.step import DIGEST_BYTES, Role, Step
from session_router.core.trail import Trail
from session_router.core.value import maker, value

if TYPE_CHECKING:
    from collections.abc import Iterable

    from session_router.core.binding import Binding
    from session_router.core.governance import Tag

RECENT_TURNS = 4
"""Turns, the present one included, whose typed messages are looked up for a scorer."""

EMPTY_DIGEST = b"\x00" * DIGEST_BYTES


class Prefix(NamedTuple):
    """Everything up to and including one step: its digest and its tokens."""

    digest: bytes
    tokens: int


def chain(digest: bytes, following: bytes) -> bytes:
    """Digest of a prefix after one more step."""
    return hashlib.blake2b(digest + following, digest_size=DIGEST_BYTES).digest()


NO_HEAD = Prefix(EMPTY_DIGEST, 0)
"""Neither a system prompt nor tools."""


@value
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
        tool_results: Number of tool results.
        position: Where the lock machine stands after it.
        broken: Whether no provider would take it as it is: asks that nobody answered before somebody spoke, or results that
            nothing asked for. It must be repaired for the request.
        tags: Governance labels of all steps, and what was found beside them; `None` stands for "somebody did not label a step".
        derived: Whether there is a step that says what others said, and no label tells: a model's answer, a summary, which are none of
            those that `None` stands for, or the result of a call that is gone.
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
    tool_results: int = 0
    position: Position = BEGINNING
    broken: bool = False
    tags: frozenset[Tag | None] = frozenset()
    derived: bool = False

    def extended(self, steps: Iterable[Step], *, head: Prefix | None = None) -> Transcript:
        """Return this transcript with `steps` after it, behind `head` if another one is given."""
        new, head = tuple(steps), self.head if head is None else head
        if not new:
            return self.headed(head)
        last = self.end
        prefixes: list[Prefix] = []
        needs: set[str] = set()
        bindings: set[Binding] = set()
        turn, opening, typed, tool_errors, tool_results = self.turn, self.opening, self.typed, self.tool_errors, self.tool_results
        position, broken, derived = self.position, self.broken, self.derived
        tags: set[Tag | None] = set()
        for step in new:
            last = Prefix(chain(last.digest, step.digest), last.tokens + step.tokens)
            prefixes.append(last)
            if step.needs:
                needs.update(step.needs)
            if step.bindings:
                bindings.update(step.bindings)
            if step.opens_turn:
                turn += 1
                opening = opening or last
                typed = (*typed, len(self.steps) + len(prefixes) - 1)[-RECENT_TURNS:]
            tool_errors += step.failed
            tool_results += step.role is Role.TOOL
            speaks = (step.role is Role.HUMAN or step.role is Role.AI) and not step.answers
            broken = broken or bool(speaks and position.open)
            position = advance(position, step)
            broken = broken or bool(position.orphans)
            if step.found is not None:
                tags.add(step.found)
            if step.tag is None and (step.role is Role.AI or step.injected):
                derived = True
            else:
                tags.add(step.tag)
                derived = derived or step.unasked
        return new_transcript(
            head=head,
            steps=self.steps.extended(new),
            prefixes=self.prefixes.extended(prefixes),
            end=last,
            needs=self.needs | needs if needs else self.needs,
            bindings=self.bindings | bindings if bindings else self.bindings,
            turn=turn,
            opening=opening,
            typed=typed,
            tool_errors=tool_errors,
            tool_results=tool_results,
            position=position,
            broken=broken,
            tags=self.tags if tags <= self.tags else self.tags | tags,
            derived=derived,
        )

    def headed(self, head: Prefix) -> Transcript:
        """Return this transcript behind another system prompt or other tools."""
        if head == self.head:
            return self
        # Spelled out: `dataclasses.replace` costs several times as much, and this runs at every call.
        return new_transcript(
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
            tool_results=self.tool_results,
            position=self.position,
            broken=self.broken,
            tags=self.tags,
            derived=self.derived,
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


new_transcript = maker(Transcript)


NO_MESSAGES = Transcript()
"""What every history grows from."""
