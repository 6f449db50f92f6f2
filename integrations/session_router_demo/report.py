"""Prints a run while it happens: one line a call, in at most 100 columns, plain characters only."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Final

from rich.text import Text

from session_router import Action
from session_router.core.appraisal import TRUSTED_SEGMENTS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from session_router import Decision, Router
    from session_router.core.offer import Offer
    from session_router_demo.calls import CallRow
    from session_router_demo.sessions import DemoSession, Typed

WIDTH: Final = 100
_HEADINGS: Final = (
    ("turn", 4),
    ("call", 5),
    ("  model", 10),
    ("decision", 14),
    ("reason", 21),
    ("lock", 20),
    ("cached", 7),
    ("uncached", 9),
    ("dollars", 9),
)
_LEGEND: Final = (
    "beneath a decision: what each model was expected to cost = ingest, to read what it has not cached + loop, all calls of the "
    "turn + risk, the stake times the chance of a bad answer + afterwards, what follows [tokens that it should have cached]. "
    f"Predictions are trusted once about {TRUSTED_SEGMENTS:.0f} turns were seen; until then the work function decides when to switch."
)
_RIGHT: Final = frozenset({"turn", "call", "cached", "uncached", "dollars"})
_MINUTE: Final = 60


def print_heading(console: Console, router: Router, where: str) -> None:
    """Print what is routed between.

    Args:
        console: Where.
        router: Its models have been built.
        where: What answers.
    """
    policy = router.policy
    _print_wrapped(console, f"session-router demo: real LangGraph agents, and {where}.", "bold", indent=0)
    for name, spec in router.models.items():
        prices = spec.prices
        facts = [", ".join(sorted(spec.provider_ids))]
        if prices is not None:
            cached = prices.input if prices.cached_input is None else prices.cached_input
            facts.append(f"${_price(prices.input)} in, ${_price(cached)} cached, ${_price(prices.output)} out for 1,000,000 tokens")
        if spec.context_window:
            facts.append(f"window of {spec.context_window:,}")
        _print_wrapped(console, f"{name:<8} {'; '.join(fact for fact in facts if fact)}", "", indent=2)
    rule = f"a badly served turn costs ${_price(policy.stake)}; a switch must save {policy.margin:.0%} of the expected dollars"
    _print_wrapped(console, f"{'policy':<8} {rule}", "", indent=2)
    _print_wrapped(console, _LEGEND, "dim", indent=2)


class Report:
    """Listens to a run and prints it.

    Args:
        console: Where.
        simulated: Whether pauses pass on a simulated clock; real ones are not waited for.
    """

    def __init__(self, console: Console, *, simulated: bool) -> None:
        self._console = console
        self._simulated = simulated

    def on_session(self, session: DemoSession, number: int) -> None:
        """Print the head of a session."""
        self._print(Text())
        self._print(Text.assemble((f"{number}. {session.title}", "bold"), (f"  [{session.id}, {session.agent.made_by}]", "dim")))
        if self._simulated:  # what real models do is not known beforehand
            self._print(Text(f"   {session.what}", "dim"))
        self._print(Text("".join(_cell(name, name, width) for name, width in _HEADINGS), "underline"))

    def on_turn(self, session: DemoSession, typed: Typed, number: int) -> None:  # noqa: ARG002 -- the row says its number
        """Print what the user types."""
        later = f"({_span(typed.pause)} later) " if self._simulated and typed.pause >= _MINUTE else ""
        self._wrapped(f"user: {later}{typed.text}", "cyan")

    def on_row(self, row: CallRow) -> None:
        """Print a call, and beneath it what decided it and what it asks for."""
        decision, bill = row.decision, row.bill
        lock = "" if decision is None or decision.lock is None else decision.lock.kind.value
        values = (
            str(row.turn),
            str(row.call),
            f"  {row.model}",
            "" if decision is None else decision.action.value,
            "" if decision is None else decision.reason.value,
            lock or "-",
            f"{bill.cached:,}",
            f"{bill.uncached:,}",
            f"{bill.dollars:.5f}",
        )
        line = Text()
        for (name, width), value in zip(_HEADINGS, values, strict=True):
            line.append(_cell(name, value, width), _style(name, decision, lock))
        self._print(line)
        if bill.error:
            self._wrapped(f"error {bill.status or ''}: {bill.error}", "red", indent=14)
        if decision is not None and decision.lock is None:
            for why in _expectations(decision):
                self._wrapped(why, "dim", indent=12)
        if row.tools:
            self._wrapped(f"asks {_listed(row.tools)}{', in parallel' if len(row.tools) > 1 else ''}", "dim", indent=12)

    def on_approval(self, tools: Sequence[str], seconds: float) -> None:
        """Print that a person approved."""
        when = f"{_span(seconds)} later a person approves it" if self._simulated else "approved"
        self._wrapped(f"interrupt: {_listed(tools)} waits for a person; {when}", "magenta")

    def on_lost(self, typed: Typed, error: Exception) -> None:  # noqa: ARG002 -- the row has printed the error
        """Print that there is no answer."""
        self._wrapped("the turn ends without an answer", "red")

    def _wrapped(self, text: str, style: str, *, indent: int = 3) -> None:
        _print_wrapped(self._console, text, style, indent=indent)

    def _print(self, text: Text) -> None:
        self._console.print(text, soft_wrap=True)


def _print_wrapped(console: Console, text: str, style: str, *, indent: int) -> None:
    for line in textwrap.wrap(text, WIDTH, initial_indent=" " * indent, subsequent_indent=" " * (indent + 2)):
        console.print(Text(line, style), soft_wrap=True)


def _price(dollars: float) -> str:
    return f"{dollars:.2f}" if round(dollars, 2) == dollars else f"{dollars:g}"


def _cell(name: str, value: str, width: int) -> str:
    # A name that is too long for its column shifts the rest of its line, and is still read.
    return value.rjust(width) if name in _RIGHT else f"{value} ".ljust(width)


def _style(name: str, decision: Decision | None, lock: str) -> str:
    if decision is None:
        return ""
    if name.strip() in {"model", "decision"}:
        return "bold yellow" if decision.switched else "red" if decision.action is Action.REFUSE else ""
    return "green" if name == "lock" and lock else ""


def _expectations(decision: Decision) -> list[str]:
    """Say what each candidate was expected to cost, term by term, and what that assumes."""
    evidence = decision.evidence
    offers = [(one, one.offer) for one in evidence.candidates if one.offer is not None]
    if len(offers) < 2 or evidence.forecast is None:  # noqa: PLR2004 -- one candidate is no choice
        return []
    width = max(len(one.model) for one, _ in offers)
    lines = [
        f"{one.model:<{width}} {offer.expected:.4f} = {_terms(offer)}" + (f" [{one.cached:,}]" if one.cached else "")
        for one, offer in offers
    ]
    forecast = evidence.forecast
    trust = "trusted" if evidence.trusted else "not trusted"
    ahead = f"{forecast.calls:.1f} calls (+{forecast.growth:.0f} tokens in at each, {forecast.output:.0f} out)"
    return [*lines, f"predicted, {trust}: {ahead}, then {forecast.further:.1f} turns"]


def _terms(offer: Offer) -> str:
    terms = {"ingest": offer.ingest, "loop": offer.loop, "risk": offer.risk, "handoff": offer.handoff, "afterwards": offer.afterwards}
    return " + ".join(f"{name} {dollars:.4f}" for name, dollars in terms.items() if dollars or name != "handoff")


def _listed(names: Sequence[str]) -> str:
    return " + ".join(names)


def _span(seconds: float) -> str:
    return f"{seconds / _MINUTE:g} minutes" if seconds >= _MINUTE else f"{seconds:g} seconds"
