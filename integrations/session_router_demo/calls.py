"""One row a call: who was asked, why, and what it cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessage

from session_router.core.pricing import call_cost
from session_router_langchain.outcomes import usage_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from langchain_core.outputs import LLMResult

    from session_router import Decision, ModelSpec, Outcome
    from session_router.core.model import ModelName
    from session_router.testing.providers import Ledger


@dataclass(frozen=True, slots=True, kw_only=True)
class Bill:
    """What one call took.

    Attributes:
        cached: Input tokens that the provider had cached.
        uncached: All other input tokens, those written to a cache included.
        output: Output tokens.
        dollars: US dollars.
        status: HTTP status, where it is known.
        error: What the provider, or its client, said about a failure; empty for none.
    """

    cached: int = 0
    uncached: int = 0
    output: int = 0
    dollars: float = 0.0
    status: int | None = None
    error: str = ""

    @property
    def refused(self) -> bool:
        """Whether the provider answered with a 4xx."""
        return self.status is not None and 400 <= self.status < 500  # noqa: PLR2004 -- the class of client errors


class Meter(Protocol):
    """Finds out what the call that has just ended took."""

    def read(self, model: str, message: AIMessage | None) -> Bill:
        """Return the bill of the call that `model` answered with `message`; `None` when it failed."""
        ...


class LedgerMeter:
    """Reads the simulated providers' own books: every request since the last reading."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._read = len(ledger.rows)

    def read(self, model: str, message: AIMessage | None) -> Bill:  # noqa: ARG002 -- the books know better
        """Return what was billed since the last reading: one call, since the demo makes them one at a time."""
        rows = self._ledger.rows[self._read :]
        self._read += len(rows)
        return Bill(
            cached=sum(row.cached_input for row in rows),
            uncached=sum(row.uncached_input + row.cache_written for row in rows),
            output=sum(row.output for row in rows),
            dollars=sum(row.dollars for row in rows),
            status=max((row.status for row in rows), default=None),
            error="; ".join(row.error_message for row in rows if row.error_message),
        )


class UsageMeter:
    """Prices what real providers report, by the prices of the configuration."""

    def __init__(self, models: Mapping[ModelName, ModelSpec]) -> None:
        self._prices = {str(name): spec.prices for name, spec in models.items()}

    def read(self, model: str, message: AIMessage | None) -> Bill:
        """Return the bill by `usage_metadata`; a model that reports none costs nothing that could be shown."""
        usage = None if message is None else usage_of(message)
        prices = self._prices.get(model)
        if usage is None or prices is None:
            return Bill()
        return Bill(
            cached=usage.cached,
            uncached=max(0, usage.input - usage.cached),
            output=usage.output,
            dollars=call_cost(prices, usage),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class CallRow:
    """One call.

    Attributes:
        session: Id of its session.
        turn: Number of the turn in the session, from 1.
        call: Number of the call in the turn, from 1.
        model: Name of the model that was asked.
        decision: What the router decided; `None` where there is no router.
        bill: What the call took.
        tools: Names of the tools that the answer asks for, in order.
    """

    session: str
    turn: int
    call: int
    model: str
    decision: Decision | None
    bill: Bill
    tools: tuple[str, ...] = ()

    def to_plain(self) -> dict[str, Any]:
        """Return JSON-ready values: the row that `session-router explain` reads, with what the call took."""
        decision = self.decision
        bill = self.bill
        return {
            "session_id": self.session,
            "message_index": 0 if decision is None else decision.steps,
            **({"model": self.model} if decision is None else decision.to_plain()),
            "turn": self.turn,
            "call": self.call,
            "tokens": {"input": bill.cached + bill.uncached, "cached": bill.cached, "output": bill.output},
            "tokens_measured": True,
            "dollars": bill.dollars,
            "tools": list(self.tools),
            "error": bill.error or None,
        }


class Recorder(BaseCallbackHandler):
    """Makes the rows: an observer of the router, and a callback handler of the agents' calls.

    Args:
        meter: Tells what a call took.

    Attributes:
        on_row: Called with every row as soon as its call has ended; whoever plays the sessions sets it.
    """

    run_inline = True
    raise_error = True

    def __init__(self, meter: Meter) -> None:
        super().__init__()
        self._meter = meter
        self.on_row: Callable[[CallRow], None] = _ignore
        self._session, self._turn, self._call = "", 0, 0
        self._decision: Decision | None = None
        self._model = ""

    def begin(self, session: str, turn: int) -> None:
        """Begin a turn."""
        self._session, self._turn, self._call = session, turn, 0

    def choose(self, model: str) -> None:
        """Hear that `model` will be asked next."""
        self._decision, self._model = None, model

    def on_decision(self, decision: Decision) -> None:
        """Hear what the router decided on the next call. A stored answer ends it: no model is asked, and nobody sends a bill."""
        self._decision, self._model = decision, decision.model or ""
        if decision.hit is not None:
            self._model = decision.hit.answer.model
            self._add(Bill())

    def on_outcome(self, decision: Decision, outcome: Outcome) -> None:
        """Nothing to do: the callbacks below see the end of every call, whoever routed it."""

    def on_llm_end(self, response: LLMResult, **_: object) -> None:
        """See an answer."""
        if self._decision is not None and self._decision.hit is not None:
            return
        generations = response.generations[0] if response.generations else []
        message = getattr(generations[0], "message", None) if generations else None
        answer = message if isinstance(message, AIMessage) else None
        self._add(self._meter.read(self._model, answer), tuple(call["name"] for call in answer.tool_calls) if answer else ())

    def on_llm_error(self, error: BaseException, **_: object) -> None:
        """See a failure."""
        bill = self._meter.read(self._model, None)
        self._add(bill if bill.error else Bill(status=getattr(error, "status_code", None), error=str(error) or type(error).__name__))

    def _add(self, bill: Bill, tools: tuple[str, ...] = ()) -> None:
        self._call += 1
        self.on_row(
            CallRow(
                session=self._session,
                turn=self._turn,
                call=self._call,
                model=self._model,
                decision=self._decision,
                bill=bill,
                tools=tools,
            )
        )


def _ignore(row: CallRow) -> None:
    """Stand in for a listener that has not come yet."""
