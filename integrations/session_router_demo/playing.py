"""Plays sessions against agents: types, waits, approves, and goes on when a turn is lost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from langchain_core.messages import HumanMessage, SystemMessage
from langgraph.types import Command

from session_router_demo.agents import agent_of, system_prompt_of
from session_router_demo.sessions import SECONDS_A_CALL

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from session_router_demo.calls import CallRow, Recorder
    from session_router_demo.routings import Routing
    from session_router_demo.sessions import DemoSession, Typed

MOST_STEPS = 40
"""Steps of a graph before a real model that runs in circles is stopped."""


class Listener(Protocol):
    """Hears what happens, in order."""

    def on_session(self, session: DemoSession, number: int) -> None:
        """Hear that a session begins."""
        ...

    def on_turn(self, session: DemoSession, typed: Typed, number: int) -> None:
        """Hear what the user types."""
        ...

    def on_row(self, row: CallRow) -> None:
        """Hear that a call has ended."""
        ...

    def on_approval(self, tools: Sequence[str], seconds: float) -> None:
        """Hear that a person approved `tools` after `seconds`."""
        ...

    def on_lost(self, typed: Typed, error: Exception) -> None:
        """Hear that a turn ended without an answer."""
        ...


class Player:
    """Plays sessions, one call at a time.

    Args:
        recorder: Makes the rows.
        listeners: Hear what happens, each before the next.
        wait: Lets seconds pass, by the clock that the caches go by.
        stop_when_lost: Whether the first lost turn is the last.
    """

    def __init__(
        self, recorder: Recorder, listeners: Sequence[Listener], *, wait: Callable[[float], None], stop_when_lost: bool = False
    ) -> None:
        self._recorder = recorder
        self._listeners = tuple(listeners)
        self._wait = wait
        self._stop_when_lost = stop_when_lost
        self._failures = 0
        recorder.on_row = self._on_row

    def play(self, sessions: Sequence[DemoSession], routing: Routing, models: Mapping[str, Any]) -> bool:
        """Play `sessions`, each with an agent of its own.

        Args:
            sessions: What is typed.
            routing: Chooses the model of every call.
            models: Chat models by name.

        Returns:
            Whether every turn that was played has an answer.
        """
        complete = True
        for number, session in enumerate(sessions, 1):
            self._tell("on_session", session, number)
            agent = agent_of(session.agent, routing, models)
            for turn, typed in enumerate(session.turns, 1):
                self._wait(typed.pause)
                self._tell("on_turn", session, typed, turn)
                self._recorder.begin(session.id, turn)
                opening = [SystemMessage(prompt)] if turn == 1 and (prompt := system_prompt_of(session.agent)) else []
                complete = self._turn(agent, session, typed, opening) and complete
                if self._stop_when_lost and not complete:
                    return False
        return complete

    def _turn(self, agent: Any, session: DemoSession, typed: Typed, opening: list[SystemMessage]) -> bool:  # noqa: ANN401 -- a compiled graph
        config: Any = {"configurable": {"thread_id": session.id}, "callbacks": [self._recorder], "recursion_limit": MOST_STEPS}
        failures = self._failures
        try:
            result = agent.invoke({"messages": [*opening, HumanMessage(typed.text)]}, config)
            while waiting := result.get("__interrupt__"):
                requests = waiting[0].value["action_requests"]
                self._wait(typed.approval_after)
                self._tell("on_approval", [request["name"] for request in requests], typed.approval_after)
                result = agent.invoke(Command(resume={"decisions": [{"type": "approve"} for _ in requests]}), config)
        except Exception as error:
            # What is no provider's failure is a mistake of ours, and must not pass for a lost turn.
            if self._failures == failures:
                raise
            self._tell("on_lost", typed, error)
            return False
        return True

    def _on_row(self, row: CallRow) -> None:
        self._failures += bool(row.bill.error)
        self._wait(SECONDS_A_CALL)
        self._tell("on_row", row)

    def _tell(self, event: str, *facts: object) -> None:
        for listener in self._listeners:
            getattr(listener, event)(*facts)
