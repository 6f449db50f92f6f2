"""The demo from end to end: simulated, with its comparison; or against real providers, by a configuration."""

from __future__ import annotations

import json
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, Final

from session_router import MemorySessionStore, Router, SemanticCache, load_router
from session_router_demo.calls import LedgerMeter, Recorder, UsageMeter
from session_router_demo.playing import Player
from session_router_demo.report import Report, print_heading
from session_router_demo.routings import ChooserRouting, RouterRouting, always, single_turn
from session_router_demo.sessions import SESSIONS
from session_router_demo.summary import ALWAYS_STRONG, ROUTER, SINGLE_TURN, print_comparison, print_totals
from session_router_demo.totals import Totals
from session_router_langchain.models import ChatModels

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from rich.console import Console

    from session_router.testing.providers import ServedProviders
    from session_router_demo.calls import CallRow
    from session_router_demo.playing import Listener
    from session_router_demo.sessions import DemoSession, Typed

KEY: Final = b"session-router demo: no secret.."
"""Session identities of the demo leave no process, and the same demo gives the same ids."""


def run_simulated(console: Console, *, write_line: Callable[[str], None] | None = None) -> bool:
    """Route the sessions through simulated providers, then play them again by other ways of routing.

    Args:
        console: Where the report goes.
        write_line: Gets the router's rows as lines of JSON instead; the comparison is then left out.

    Returns:
        Whether the router's turns were all answered.
    """
    if write_line is None:
        return compare_simulated(console)[ROUTER].complete
    return play_simulated(ROUTER, lambda _: _Lines(write_line)).complete


def compare_simulated(console: Console) -> dict[str, Totals]:
    """Print the router's run and the comparison; return the totals of each way of routing."""
    from session_router_demo.models import POLICY

    def report(router: Router) -> Report:
        ChatModels(router).build()
        print_heading(console, router, "simulated providers on this machine")
        return Report(console, simulated=True)

    runs = {ROUTER: play_simulated(ROUTER, report)}
    for way in (SINGLE_TURN, ALWAYS_STRONG):
        with console.status(f"the same sessions again: {way}") if console.is_terminal else nullcontext():
            runs[way] = play_simulated(way)
    print_comparison(console, runs, SESSIONS, stake=POLICY.stake)
    return runs


def run_configured(console: Console, config: Path, *, write_line: Callable[[str], None] | None = None) -> bool:
    """Route the sessions through the providers of a configuration.

    Args:
        console: Where the report goes.
        config: The configuration.
        write_line: Gets the rows as lines of JSON instead of the report.

    Returns:
        Whether every turn was answered; the first that is not ends the demo.

    Raises:
        ConfigurationError: A setting is wrong, or a model cannot be built.
    """
    described = load_router(config, store=MemorySessionStore(), audited=False, key=KEY)
    built = ChatModels(described)
    models: dict[str, Any] = {name: built[name] for name in described.models}
    recorder = Recorder(UsageMeter(described.models))
    router = load_router(config, models=models, store=MemorySessionStore(), audited=False, key=KEY, observers=[recorder])
    totals = Totals(router)
    if write_line is None:
        ChatModels(router).build()
        print_heading(console, router, f"the providers of {config}; calls cost money, and pauses are not waited for")
    listener = Report(console, simulated=False) if write_line is None else _Lines(write_line)
    player = Player(recorder, [totals, listener], wait=_do_not_wait, stop_when_lost=True)
    complete = player.play(SESSIONS, RouterRouting(router), models)
    if write_line is None:
        print_totals(console, totals)
    return complete


def play_simulated(way: str, listener_of: Callable[[Router], Listener] | None = None, *, served: ServedProviders | None = None) -> Totals:
    """Play the sessions through simulated providers.

    Args:
        way: Who chooses the models: one of the names in `summary`.
        listener_of: Makes another listener, once the router is there.
        served: The providers; unless given, providers of their own, with cold caches.
    """
    from session_router.testing.providers import serve
    from session_router_demo.models import POLICY, STRONG, clients_of, routes_of, simulated_models

    with serve(simulated_models()) if served is None else nullcontext(served) as providers:
        models = clients_of(providers)
        recorder = Recorder(LedgerMeter(providers.ledger))
        observers = [recorder] if way == ROUTER else []
        cache = SemanticCache() if way == ROUTER else None
        router = Router(routes_of(models), policy=POLICY, clock=providers.clock, key=KEY, observers=observers, cache=cache)
        totals = Totals(router)
        listeners: list[Listener] = [totals] if listener_of is None else [totals, listener_of(router)]
        routing: Any
        if way == ROUTER:
            routing = RouterRouting(router)
        else:
            choose = single_turn(router) if way == SINGLE_TURN else always(STRONG)
            routing = ChooserRouting(models, choose, recorder.choose)
        Player(recorder, listeners, wait=providers.clock.advance).play(SESSIONS, routing, models)
    return totals


def _do_not_wait(seconds: float) -> None:
    """Let no time pass: nobody wants to watch a pause."""


class _Lines:
    """Listens to a run and writes its rows as lines of JSON."""

    def __init__(self, write_line: Callable[[str], None]) -> None:
        self._write_line = write_line

    def on_session(self, session: DemoSession, number: int) -> None:
        """Nothing to write."""

    def on_turn(self, session: DemoSession, typed: Typed, number: int) -> None:
        """Nothing to write."""

    def on_row(self, row: CallRow) -> None:
        """Write the row."""
        self._write_line(json.dumps(row.to_plain(), separators=(",", ":")))

    def on_approval(self, tools: Sequence[str], seconds: float) -> None:
        """Nothing to write."""

    def on_lost(self, typed: Typed, error: Exception) -> None:
        """Nothing to write: the row says what went wrong."""
