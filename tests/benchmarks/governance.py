"""What governance costs, whether tampering with its log is found, and whether anything reaches a model that may not see it.

Usage: `python tests/benchmarks/governance.py [--quick] [--jobs N] [--leaks]`; `--leaks` prints the figures of leaks alone.
"""

from __future__ import annotations

import argparse
import gc
import hashlib
import itertools
import json
import math
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from _audit_tampering import KEY, tamper
from _figure import figure, say
from _leaks import leak_figures

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

BATCH = 200
KEPT = 256
ALPHA = 0.05


def micros(run: Callable[[], object], times: int, *, rounds: int) -> tuple[float, float]:
    """Return the processor's and the clock's microseconds for one of `times`: the medians over `rounds`."""
    processor, clock = [], []
    for _ in range(rounds):
        spent, began = time.process_time(), time.perf_counter()
        run()
        processor.append((time.process_time() - spent) / times * 1e6)
        clock.append((time.perf_counter() - began) / times * 1e6)
    return statistics.median(processor), statistics.median(clock)


def permits_micros(rounds: int) -> tuple[float, float, int]:
    """Time `permits` over labels and clearances that permit and forbid, at every rule."""
    from session_router.core.governance import Clearance, Level, Tag, permits

    tags = [
        Tag(level=level, categories=categories, regions=regions, tenants=tenants, no_train=strict, zero_retention=strict, expires_at=ends)
        for level, categories, regions, tenants, strict, ends in itertools.product(
            Level, (frozenset(), {"pii"}), (None, {"eu"}, {"eu", "uk"}), (frozenset(), {"acme"}), (False, True), (None, 2e9)
        )
    ]
    clearances = [
        Clearance(
            max_level=level, categories={"pii", "phi"}, processing_regions={"eu"}, trains=False, retention_seconds=0.0, attested_until=2e9
        )
        for level in Level
    ]
    pairs = list(itertools.product(tags, clearances))
    permitted = sum(permits(tag, clearance, now=1.7e9) for tag, clearance in pairs)
    say(f"permits: {permitted:,} of {len(pairs):,} pairs of label and clearance are permitted")

    def empty() -> None:
        for _ in pairs:
            pass

    def run() -> None:
        for tag, clearance in pairs:
            permits(tag, clearance, now=1.7e9)

    loop, _ = micros(empty, len(pairs), rounds=rounds)
    processor, clock = micros(run, len(pairs), rounds=rounds)
    return processor - loop, clock, len(pairs) * rounds


def decisions(count: int, *, whole: bool = False) -> list[dict[str, Any]]:
    """Return rows as a router makes them: three routes, labels, sessions that grow."""
    from session_router import Call, Clearance, ModelSpec, Prices, Router, Tag
    from session_router.core.audit_row import decision_row
    from session_router.core.governance import Level
    from session_router.core.need import Question
    from session_router.core.session import SessionId
    from session_router.core.step import Role, Step
    from session_router.core.transcript import Transcript

    clearance = Clearance(
        max_level=Level.CONFIDENTIAL,
        categories=frozenset({"pii"}),
        processing_regions=frozenset({"eu"}),
        trains=False,
        retention_seconds=0.0,
    )
    prices = {"fast": 0.1, "middle": 0.5, "strong": 3.0}
    specs = {
        name: ModelSpec(model=name, clearance=None if name == "middle" else clearance, prices=Prices(input=price, output=4 * price))
        for name, price in prices.items()
    }
    router = Router(specs, key=KEY)
    tag = Tag(level=Level.CONFIDENTIAL, categories=frozenset({"pii"}), subjects=frozenset({hashlib.sha256(b"ann").hexdigest()}))
    rows = []
    for number in range(count):
        session, turn = divmod(number, 16)
        digests = [hashlib.blake2b(f"{session} {at}".encode(), digest_size=16).digest() for at in range(turn + 1)]
        steps = [Step(role=Role.HUMAN, digest=digest, tokens=37 + 91 * at, tag=tag) for at, digest in enumerate(digests)]
        transcript = Transcript().extended(steps)
        question = Question(text="Compare the trade-offs, and explain why." if number % 3 else "thanks", turn=transcript.turn)
        name = SessionId(hashlib.sha256(f"{session}".encode()).hexdigest())
        decision = router.route(Call(transcript=transcript, question=question, now=1.7e9 + 11.7 * number, session=name))
        rows.append(decision_row(decision, tag=tag, clearance=clearance, whole=whole))
    return rows


def append_micros(rows: Sequence[dict[str, Any]], rounds: int) -> tuple[tuple[float, float], tuple[float, float]]:
    """Time our log, and beside it lines of JSON that nobody could verify."""
    from session_router import AuditFile

    with tempfile.TemporaryDirectory() as directory, AuditFile(Path(directory, "audit.jsonl"), key=KEY) as log:

        def ours() -> None:
            for row in rows:
                log.append(row)

        ours()
        timed = micros(ours, len(rows), rounds=rounds)
        if not log.verify().sound:
            msg = "the log that was timed is not sound"
            raise AssertionError(msg)
        with Path(directory, "plain.jsonl").open("a", encoding="utf-8") as file:

            def plain() -> None:
                for row in rows:
                    file.write(json.dumps(row) + "\n")
                    file.flush()

            return timed, micros(plain, len(rows), rounds=rounds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds")
    parser.add_argument("--jobs", type=int, help="processes that play talks; as many as there are processors unless given")
    parser.add_argument("--leaks", action="store_true", help="the figures of leaks alone")
    given = parser.parse_args()
    quick = given.quick
    if not given.leaks:
        costs(quick=quick)
    leak_figures(quick=quick, jobs=given.jobs)


def costs(*, quick: bool) -> None:
    """Print what governance costs, and whether tampering is found."""
    gc.collect()
    processor, clock, n = permits_micros(40 if quick else 200)
    say(f"permits: {processor:.2f} us of the processor, {clock:.2f} us by the clock")
    figure("permits_us", processor, unit="us", n=n, target="<= 2", note="processor time, median of rounds, without the loop around it")

    rows, rounds = decisions(KEPT), 12 if quick else 60
    (ours, clock), (plain, _) = append_micros(rows, rounds)
    (whole, _), _ = append_micros(decisions(KEPT, whole=True), rounds)
    size = statistics.mean(len(json.dumps(row)) for row in rows)
    say(f"append: {ours:.1f} us of the processor, {clock:.1f} us by the clock, for rows of {size:,.0f} bytes")
    figure(
        "audit_append_us",
        ours,
        unit="us",
        n=len(rows) * rounds,
        target="<= 50",
        peer={
            "ours, by the clock": clock,
            "ours, rows with all dollars and chances": whole,
            "json.dumps, write and flush, nothing to verify": plain,
        },
        note="processor time of all threads for one record, synced once a second; median of rounds",
    )

    agent_figure(rounds=20 if quick else 200)

    missed = tamper(4_000 if quick else 40_000, rows)
    tampered, ours_missed, alone = (sum(one.values()) for one in (missed.tampered, missed.ours, missed.alone))
    say(f"{'tampering':>20} {'times':>8} {'missed':>8} {'missed without chain and head':>30}")
    for way, times in missed.tampered.items():
        say(f"{way:>20} {times:>8,} {missed.ours[way]:>8,} {missed.alone[way]:>30,}")
    figure(
        "tampering_missed",
        ours_missed,
        unit="count",
        n=tampered,
        target="== 0",
        peer={"seals alone, without chain and head": alone},
        low=0.0,
        # Clopper and Pearson for none: the largest share at which none in n has a chance of 5 %.
        high=1.0 - ALPHA ** (1.0 / tampered) if ours_missed == 0 else math.nan,
        note="high is the 95 % upper bound of the share",
    )
    figure(
        "tampering_missed_without_chain", alone, unit="count", n=tampered, target="> 0", note="the same changes, so that a miss can be seen"
    )


def agent_figure(*, rounds: int) -> None:
    """Print what governance adds to the runs of an agent."""
    from _governed_agents import GOVERNED, TOOL_CALLS, TURNS, UNGOVERNED, UNWATCHED, run_micros

    took = run_micros(rounds)
    say(f"a run of an agent: {took[UNGOVERNED]:,.0f} us of the processor, governed {took[GOVERNED]:,.0f} us")
    figure(
        "governed_run_over_ungoverned",
        took[GOVERNED] / took[UNGOVERNED],
        unit="ratio of processor time",
        n=rounds * TURNS,
        peer={
            "ungoverned, us": took[UNGOVERNED],
            "governed, us": took[GOVERNED],
            "governed, without watching which run starts which, us": took[UNWATCHED],
        },
        note=f"`create_agent` with the middleware, a checkpointer in memory, {TOOL_CALLS} tool calls a run and models that take no time; "
        f"{TURNS} runs a thread, median of threads; the first decision of a session included",
    )


if __name__ == "__main__":
    main()
