"""The published benchmark of session-aware agentic routing (SAAR), reproduced, and every policy's distance to the optimum on it.

Usage: `python tests/benchmarks/saar.py [--quick]`; `--quick` changes nothing, the whole workload takes seconds.

The published figures compare costs, with a baseline that is charged no cached token. A constant policy does well on that.
So the report adds the total: dollars of calls, stake times shortfall and a fee per switch, over the total of the optimum
that knows each session to its end and obeys the same locks. What policies learn, they learn without the seed they are
tried on; what they see is `Seen`, full SAAR excepted, which is told the rests and the expected length of each session.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks._figure import figure, is_quick, say
from benchmarks._saar_ours import session_router
from benchmarks._saar_rules import (
    always,
    full_saar,
    learned_look_ahead,
    locks_only,
    look_ahead,
    single_turn,
    sticky,
    unlearned,
)
from benchmarks._saar_serving import Learner, Policy, Report, leaving_one_seed_out, serve
from benchmarks._saar_workload import MODELS, START, Model, Session, all_sessions, is_locked, turn_total
from session_router.core.hindsight import cheapest_path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

STAKES = (0.2, 0.5, 1.0)
HORIZONS = (2, 3, 4, 6, 8)
SINGLE_TURN = "single turn"
FULL_SAAR = "full SAAR"
OPTIMUM = "hindsight optimum"

OURS = "session-router"
RUN_OF_OURS = (
    "of the library `decide` and `Experience` are run, with the workload's own prices, with full weight for experience, and with "
    "trust from the first call; its pricing of segments, its drift and its population are not"
)
"""What a figure of ours on this workload does and does not test."""

TARGETS = {0.2: 1.01, 0.5: 1.06, 1.0: 1.12}
"""What our ratio must not exceed, by stake."""

POLICIES: dict[str, Learner] = {
    OURS: session_router(),
    SINGLE_TURN: unlearned(single_turn),
    "locks only": unlearned(locks_only),
    "sticky": unlearned(sticky),
    **{f"always {model.name}": unlearned(always(model)) for model in MODELS},
    **{f"look-ahead {horizon}": look_ahead(horizon) for horizon in HORIZONS},
    **{f"learned look-ahead {horizon}": learned_look_ahead(horizon) for horizon in HORIZONS},
}
"""Every policy that sees no more than `Seen`. One more line here is in every table."""


def hindsight_path(session: Session, stake: float) -> tuple[Model, ...]:
    """Return the models with the least total that the locks allow."""

    def moves(index: int, current: Model) -> Iterator[tuple[Model, float, Model]]:
        turn = session.turns[index]
        for model in (current,) if is_locked(turn, first=index == 0) else MODELS:
            yield model, turn_total(turn, current, model, stake), model

    return cheapest_path(range(len(session.turns)), START, moves).choices


def reports_at(sessions: Sequence[Session], stake: float) -> dict[str, Report]:
    """Play all sessions under every policy, full SAAR and the optimum."""
    reports = {name: serve(sessions, leaving_one_seed_out(sessions, learn, stake)) for name, learn in POLICIES.items()}

    def optimum_of(session: Session) -> Policy:
        path = hindsight_path(session, stake)
        return lambda seen: path[len(seen.before)]

    return {**reports, FULL_SAAR: serve(sessions, full_saar), OPTIMUM: serve(sessions, optimum_of)}


def print_table(reports: dict[str, Report], stake: float, published: float) -> None:
    """Tell a person what every policy did.

    Args:
        reports: By policy.
        stake: US dollars.
        published: Cost of the published baseline, in US dollars.
    """
    say(f"\nstake {stake} USD")
    say(f"{'policy':28} {'switches':>8} {'unsafe':>6} {'cost':>9} {'cut':>7} {'quality':>8} {'shortfall':>9} {'ratio':>7}")
    optimum = reports[OPTIMUM].total(stake)
    for name, report in sorted(reports.items(), key=lambda item: item[1].total(stake)):
        cells = f"{report.switches:>8,} {report.unsafe:>6,} {report.cost:>9.2f} {1 - report.cost / published:>7.2%}"
        say(f"{name:28} {cells} {report.quality_delta:>+8.4f} {report.mean_shortfall:>9.4f} {report.total(stake) / optimum:>7.4f}")


def print_published(reports: dict[str, Report], uncredited: Report) -> None:
    """Print the figures that others published, rounded as they were, with the constant policies beside full SAAR."""
    single, saar = reports[SINGLE_TURN], reports[FULL_SAAR]
    n = single.turns

    def beside(measure: Callable[[Report], float], digits: int) -> dict[str, float | None]:
        return {name: round(measure(one), digits) for name, one in reports.items() if name == SINGLE_TURN or name.startswith("always")}

    note = "as published: no cached token is charged as such, though all other policies' are"
    figure("single_turn_cost", round(uncredited.cost, 6), unit="USD", n=n, target="== 1725.484812", note=note)
    note = "the same choices, charged like every other policy's"
    figure("single_turn_cost_with_cache", round(single.cost, 1), unit="USD", n=n, target="== 1023.6", note=note)
    figure("single_turn_switches", single.switches, unit="count", n=n, target="== 9709")
    figure("single_turn_unsafe_tool_loop", single.unsafe_tool_loop, unit="count", n=n, target="== 3404")
    figure("single_turn_unsafe_provider_state", single.unsafe_provider_state, unit="count", n=n, target="== 432")
    figure("single_turn_mean_quality", round(single.quality_served / n, 4), unit="[0, 1]", n=n, target="== 0.8230")
    note = "told the rests and the expected length of each session, which no other policy here sees"
    figure("full_saar_cost", round(saar.cost, 6), unit="USD", n=n, target="== 367.423428", peer=beside(lambda one: one.cost, 6), note=note)
    figure("full_saar_switches", saar.switches, unit="count", n=n, target="== 2011", peer=beside(lambda one: one.switches, 0))
    figure("full_saar_unsafe_switches", saar.unsafe, unit="count", n=n, target="== 0", peer=beside(lambda one: one.unsafe, 0))
    peer = beside(lambda one: one.quality_delta, 4)
    figure("full_saar_quality_delta", round(saar.quality_delta, 4), unit="quality", n=n, target="== -0.0453", peer=peer)
    peer = beside(lambda one: one.mean_shortfall, 4)
    figure("full_saar_shortfall", round(saar.mean_shortfall, 4), unit="quality", n=n, target="== 0.0706", peer=peer)


def print_distance(reports: dict[str, Report], stake: float) -> None:
    """Print the optimum's total, and the ratio of every policy to it."""
    optimum = reports[OPTIMUM].total(stake)
    ratios: dict[str, float | None] = {name: round(one.total(stake) / optimum, 4) for name, one in reports.items() if name != OPTIMUM}
    n = reports[OPTIMUM].turns
    figure(f"optimum_{stake}", round(optimum, 3), unit="USD", n=n, note="calls, shortfall and switches; knows each session to its end")
    note = f"{RUN_OF_OURS}; priors learned leaving one seed out; default settings; {reports[OURS].unsafe} unsafe switches"
    target = f"<= {TARGETS[stake]}"
    figure(f"ratio_{stake}", ratios.pop(OURS), unit="ratio of totals to the optimum", n=n, target=target, peer=ratios, note=note)
    figure(
        f"unsafe_switches_{stake}", reports[OURS].unsafe, unit="count", n=n, target="== 0", peer={SINGLE_TURN: reports[SINGLE_TURN].unsafe}
    )


def print_operating_point(reports: dict[str, Report], stake: float) -> None:
    """Say whether one operating point beats full SAAR on every published figure at once, with the constants beside it."""

    def beats(one: Report) -> bool:
        saar = reports[FULL_SAAR]
        fewer = one.switches < saar.switches and one.cost < saar.cost
        return fewer and one.quality_delta > saar.quality_delta and one.mean_shortfall < saar.mean_shortfall and not one.unsafe

    ours = reports[OURS]
    note = (
        f"at stake {stake}: {ours.switches:,} switches, {ours.cost:.1f} USD, quality {ours.quality_delta:+.4f}, "
        f"shortfall {ours.mean_shortfall:.4f}, {ours.unsafe} unsafe; a constant that does so too says what these figures are worth; "
        f"{RUN_OF_OURS}"
    )
    peer: dict[str, float | None] = {
        name: float(beats(one)) for name, one in reports.items() if name.startswith("always") or name == SINGLE_TURN
    }
    figure("beats_saar_on_all", float(beats(ours)), unit="1 for yes", n=ours.turns, target="== 1", peer=peer, note=note)


def main() -> None:
    """Print tables and figures."""
    is_quick(__doc__, means="the same: the whole workload takes seconds")
    sessions = all_sessions()
    uncredited = serve(sessions, lambda _: single_turn, cache_credit=False)
    by_stake = {stake: reports_at(sessions, stake) for stake in STAKES}
    for stake, reports in by_stake.items():
        print_table(reports, stake, uncredited.cost)
    print_published(by_stake[STAKES[0]], uncredited)
    for stake, reports in by_stake.items():
        print_distance(reports, stake)
    print_operating_point(by_stake[STAKES[0]], STAKES[0])


if __name__ == "__main__":
    main()
