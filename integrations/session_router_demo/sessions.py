"""What the users of the demo say, and when."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class AgentKind(StrEnum):
    """Which agent a session talks to."""

    SUPPORT = "support"  # langchain's create_agent
    CODING = "coding"  # a StateGraph made by hand

    @property
    def made_by(self) -> str:
        """Say how the agent is made."""
        return "create_agent + middleware" if self is AgentKind.SUPPORT else "StateGraph + router node"


@dataclass(frozen=True, slots=True, kw_only=True)
class Typed:
    """One thing that the user types.

    Attributes:
        text: The words.
        pause: Seconds since the last answer.
        approval_after: Seconds that a person takes to approve what the agent asks for.
    """

    text: str
    pause: float = 0.0
    approval_after: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoSession:
    """One conversation.

    Attributes:
        id: Its thread.
        title: What it is about.
        what: What happens in it.
        agent: Whom it talks to.
        turns: What the user types.
    """

    id: str
    title: str
    what: str
    agent: AgentKind
    turns: tuple[Typed, ...]


SECONDS_A_CALL: Final = 4.0
"""Seconds that a model takes to answer, by the simulated clock."""

SESSIONS: Final = (
    DemoSession(
        id="order-and-fault",
        title="An order, then a fault",
        what="parallel calls; a change of subject to a harder question; one after the cache has expired",
        agent=AgentKind.SUPPORT,
        turns=(
            Typed(text="Where is order A-1042, and is the spare bulb in the same parcel?"),
            Typed(
                text="It came, but the lamp flickers. Please investigate why: read its diagnostics, compare them with the known faults, "
                "then plan the repair.",
                pause=50,
            ),
            Typed(text="Which part is it, and does the warranty cover it?", pause=35),
            Typed(text="Something else: what are your opening hours?", pause=900),
        ),
    ),
    DemoSession(
        id="refund",
        title="A refund that a person approves",
        what="a tool loop that waits for a person; its lock outlives the prompt cache",
        agent=AgentKind.SUPPORT,
        turns=(
            Typed(text="Please refund order A-1077. The shade was cracked when I opened the parcel.", approval_after=540),
            Typed(text="When will I see the money?", pause=30),
        ),
    ),
    DemoSession(
        id="race-condition",
        title="A race condition",
        what="a long tool loop with parallel calls; a question on a warm cache, one on a cold cache",
        agent=AgentKind.CODING,
        turns=(
            Typed(text="List the failing tests."),
            Typed(
                text="Debug the race condition in ferryline/seats.py: find the root cause, explain why its lock does not help, design the "
                "smallest fix and refactor reserve().",
                pause=40,
            ),
            Typed(text="What does reserve() do when a sailing is sold out?", pause=45),
            Typed(text="Add a line about the fix to the changelog.", pause=660),
        ),
    ),
    DemoSession(
        id="hours",
        title="A common question",
        what="its answer is no tool's, so the cache keeps it",
        agent=AgentKind.SUPPORT,
        turns=(Typed(text="What are your opening hours?"),),
    ),
    DemoSession(
        id="hours-again",
        title="The same question again",
        what="from somebody else; nobody is asked, since the answer is stored",
        agent=AgentKind.SUPPORT,
        turns=(Typed(text="what are your opening hours", pause=75),),
    ),
)
