"""The distance to the optimum on recorded sessions: ours, and that of the rules by which others route.

Usage: `python tests/benchmarks/regret.py [--quick]`; `--quick` takes a sample of the tasks, and one draw of noise.

A session costs the dollars of its calls and, once a segment, the stake times the chance that it is served badly. Every routing
is charged for the recorded answers, at the same prices, with what each model still has cached; the optimum knows the session to
its end and obeys the same locks. Where several models ran a task, each one's recorded outcome is the truth of every segment of
every session of that task: measured for one model from beginning to end, modelled for a switch in the middle. Routers hear it
with noise: `_regret_need` says how. Where nothing better is known, what was heard is charged.

What is heard of an outcome is the same for every segment of a session, which leaves little reason to switch. So each figure says how
often the optimum does, and how many rules end where ours does. Where the optimum never switches, only the first choice is tried.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks._figure import SHARED, figure, is_quick, missing, say
from benchmarks._regret_need import CALIBRATED, NOISE, ORACLE, SCORER
from benchmarks._regret_play import OPTIMUM, OURS, UNLEARNED, Key, Played, play
from benchmarks._regret_sources import sources
from session_router.regret.routings import SINGLE_TURN

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmarks._regret_sources import Source

STAKES = (0.2, 0.5, 1.0)
DRAWS = 3
"""Draws of noise, over which totals are added up: with one, a handful of tasks would decide who is better."""

QUICK_TASKS = 45

NAMES = ("tau2_retail", "tau2_telecom", "mint", "sgd")
SUFFIXES = {ORACLE: "", CALIBRATED: "_calibrated", SCORER: "_scorer"}
UNSAFE = "unsafe_switches_ours"
HIGHER = "rows_higher_than_a_rule"

_HEARD = f"need: the recorded outcome, turned round with probability {NOISE:g}, the same for every segment of a session, said as"
TOLD = {
    ORACLE: f"{_HEARD} {1 - NOISE:g} or {NOISE:g}; charged: the recorded outcome",
    CALIBRATED: f"{_HEARD} the probability that it stands for; charged: that probability",
    SCORER: "need: the lexical scorer; charged: what it says; both modelled",
}


def figure_names() -> list[str]:
    """Return the name of every figure."""
    names = [_name(name, stake, need) for name in NAMES for need in _needs(has_outcomes=name != "sgd") for stake in STAKES]
    return [*names, UNSAFE, HIGHER]


def _name(source: str, stake: float, need: str) -> str:
    return f"ratio_{source}_{stake}{SUFFIXES[need]}"


def _needs(*, has_outcomes: bool) -> tuple[str, ...]:
    return (ORACLE, CALIBRATED, SCORER) if has_outcomes else (SCORER,)


def print_table(by_stake: Mapping[float, Played]) -> None:
    """Tell a person what every routing did, the best first; of a peer, its best variant at each stake."""
    first = next(iter(by_stake.values()))
    say(f"\n{first.source.name}: {TOLD[first.need]}; {first.calls} calls, {first.draws} draws")
    heads = "".join(f"  ratio at {stake:<4} dollars     risk switch unsafe" for stake in by_stake)
    say(f"{'':36}{heads}")
    names = [OPTIMUM[0], OURS[0], UNLEARNED[0], *first.variants]

    def key_of(played: Played, name: str) -> Key:
        return played.best(name) if name in played.variants else (name, "")

    for name in sorted(names, key=lambda name: sum(played.ratio(key_of(played, name)) for played in by_stake.values())):
        cells = ""
        for played in by_stake.values():
            key = key_of(played, name)
            bill = played.bills[key]
            cells += f"  {played.ratio(key):>13.4f} {bill.dollars:>7.2f} {bill.risk:>8.2f} {bill.switches:>6} {bill.unsafe_switches:>6}"
        say(f"{name:36}{cells}")


def print_ratio(played: Played, stake: float) -> None:
    """Print our ratio beside every peer's. The target is the best that keeps the locks, as the optimum does."""
    keys = [played.best(name) for name in played.variants]
    peer: dict[str, float | None] = {key[0]: played.printed(key) for key in keys}
    best = played.best_of_all()
    value, target = played.printed(OURS), played.printed(best)
    (low, high), _ = played.intervals(best)
    notes = [
        TOLD[played.need],
        _measured(played),
        *_told_apart(played),
        f"without experience {played.ratio(UNLEARNED):.4f}",
        f"the best peer that keeps the locks is {_title(best)}, ours less it {_difference(played)}",
        _unsafe(played, keys),
    ]
    ours, theirs = played.ratios_by_part(OURS), played.ratios_by_part(best)
    if len(ours) > 1:
        notes.append(f"ours and its by part: {', '.join(f'{part} {ours[part]:.4f} and {theirs[part]:.4f}' for part in ours)}")
    if value > target:
        notes.append(f"not the lowest: {_why(played, OURS)}; {_why(played, best)}")
    notes += [
        f"{_title(key)} is lower and breaks locks"
        for key in keys
        if played.bills[key].unsafe_switches and played.ratio(key) < played.ratio(OURS)
    ]
    figure(
        _name(played.source.name, stake, played.need),
        value,
        unit="ratio of totals to the optimum",
        n=len(played.source.sessions),
        target=f"<= {target}",
        peer=peer,
        low=round(low, 4),
        high=round(high, 4),
        note="; ".join(notes),
    )


def _told_apart(played: Played) -> list[str]:
    """Say how far the figure tells routings apart."""
    switches = played.bills[OPTIMUM].switches
    return [
        f"tied with {len(played.tied()) or 'none'} of the {len(played.variants)} rules",
        f"the optimum switches {switches} times" if switches else "the optimum never switches here: only the first choice is tried",
    ]


def _difference(played: Played) -> str:
    best = played.best_of_all()
    _, (less, more) = played.intervals(best)
    return f"{played.printed(OURS) - played.printed(best):+.4f} [{less:+.4f}, {more:+.4f}]"


def _title(key: Key) -> str:
    return f"{key[0]} ({key[1]})" if key[1] else key[0]


def _measured(played: Played) -> str:
    outcomes = "" if played.need == SCORER else f"{played.source.measured}; "
    draws = "" if played.draws == 1 else f"; {played.draws} draws of noise"
    return f"{outcomes}tokens of {played.measured} of {played.calls} calls recorded, estimated elsewhere{draws}"


def _unsafe(played: Played, keys: Sequence[Key]) -> str:
    counts = [(key[0], played.bills[key].unsafe_switches) for key in (OURS, *keys)]
    told = [f"{name} {count}" for name, count in counts if count or name == OURS[0]]
    return f"unsafe switches: {', '.join(told)}, the others 0"


def _why(played: Played, key: Key) -> str:
    """Say what a routing paid and risked, and what it had heard of the chances that it took."""
    bill = played.bills[key]
    heard = played.heard[key] / bill.scored
    paid = f"{_title(key)} paid {bill.dollars:.2f} USD and risked {bill.risk:.2f}"
    return f"{paid}, heard {heard:.3f} of what it chose, and {bill.mean_chance:.3f} was charged"


def print_rows(rows: Mapping[str, Played]) -> None:
    """Print on how many rows ours is lower than every rule that keeps the locks, tied with the lowest, and higher.

    Args:
        rows: By the name of their figure.
    """
    above = {name: played.printed(OURS) - played.printed(played.best_of_all()) for name, played in rows.items()}
    higher = [name for name, excess in above.items() if excess > 0]
    lower = sum(excess < 0 for excess in above.values())
    still = sum(not played.bills[OPTIMUM].switches for played in rows.values())
    tied = len(rows) - lower - len(higher)
    notes = [
        f"lower than every rule that keeps the locks on {lower} rows, tied with the lowest on {tied}, higher on {len(higher)}",
        f"the optimum never switches on {still}",
        *(f"{name}: {_excuse(rows[name])}" for name in higher),
    ]
    figure(HIGHER, len(higher), unit="count", n=len(rows), target="== 0", note="; ".join(notes))


def _excuse(played: Played) -> str:
    """Say why ours is higher than a rule, in words."""
    best, bill = played.best_of_all(), played.bills[OURS]
    _, (less, more) = played.intervals(best)
    doubt = ", which may be chance: the interval holds 0" if less <= 0 <= more else ""
    behind = f"{_title(best)} is lower, ours less it {_difference(played)}{doubt}"
    if played.need != ORACLE:
        return f"{behind}; {_exchange(played, best)}"
    heard = played.heard[OURS] / bill.scored
    return (
        f"{behind}; what ours is told, {1 - NOISE:g} or {NOISE:g}, is no probability: it heard a chance of {heard:.3f} "
        f"of what it chose, and {bill.mean_chance:.3f} of that served well"
    )


def _exchange(played: Played, best: Key) -> str:
    """Say what ours gave for what, beside a rule that ended lower, and in how many tasks they ended apart."""
    ours, theirs, least = played.bills[OURS], played.bills[best], played.bills[OPTIMUM]
    # What is left of one sum taken from an equal one is no difference.
    apart = [round(task[OURS] - task[best], 9) for task in played.totals.values()]
    higher, lower = sum(one > 0 for one in apart), sum(one < 0 for one in apart)
    return (
        f"ours paid {ours.dollars - theirs.dollars:+.2f} USD for its calls and risked {ours.risk - theirs.risk:+.2f}, with {ours.switches} "
        f"switches against {theirs.switches}, of which the optimum makes {least.switches}; higher in {higher} of {len(apart)} tasks, "
        f"lower in {lower}"
    )


def print_source(source: Source, draws: int) -> dict[str, Played]:
    """Play one source, print its tables and figures, and return what was played, by figure."""
    say(f"\n{source.name}: {len(source.sessions)} sessions, {source.measured}")
    for name, spec in source.models.items():
        assert spec.prices is not None
        say(f"  {name}: {spec.prices.input} in, {spec.prices.cached_input} cached, {spec.prices.output} out (USD per 1,000,000 tokens)")
    everything: dict[str, Played] = {}
    for need in _needs(has_outcomes=source.has_outcomes):
        by_stake = {stake: play(source, stake, need, draws=draws) for stake in STAKES}
        print_table(by_stake)
        for stake, played in by_stake.items():
            print_ratio(played, stake)
            everything[_name(source.name, stake, need)] = played
    return everything


def main() -> None:
    """Print tables and figures."""
    quick = is_quick(__doc__, means="a sample of the tasks, one draw of noise")
    try:
        found = sources(SHARED / "data")
    except OSError as error:
        missing(figure_names(), f"the recorded sessions are not there: {error.filename}")
    rows: dict[str, Played] = {}
    for source in found:
        rows |= print_source(source.sampled(QUICK_TASKS) if quick else source, 1 if quick else DRAWS)
    ours, single = (sum(one.bills[key].unsafe_switches for one in rows.values()) for key in (OURS, (SINGLE_TURN, "")))
    calls = sum(one.calls for one in rows.values())
    figure(UNSAFE, ours, unit="count", n=calls, target="== 0", peer={SINGLE_TURN: single}, note="all of the above")
    print_rows(rows)


if __name__ == "__main__":
    main()
