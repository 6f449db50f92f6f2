"""What a decision costs when replicas share the sessions: on SQLite, Redis and a Redis cluster, by one, two and four processes.

Replicas are processes. Each decides for 200 sessions in turn, of six user turns with three tool calls each: one decision at a
boundary to three under a lock. Its sessions stay with it, as behind a balancer that sends users where they were before; those that
are called roaming arrive at one of two replicas, whichever it is, with each call. After each decision, in the same process, one GET
and one EVALSHA of the row's size are sent by redis-py's own client: that is the plain cost. All servers, and all replicas, run on
this machine.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks._figure import figure, is_quick, missing, say
from benchmarks._replicas_play import KEY, Plain, Times, decisions, open_store
from session_router.core.session import SessionId
from session_router.stores.redis_rows import RedisRows, key_of, new_fence
from support.redis_servers import cluster, standalone

if TYPE_CHECKING:
    from collections.abc import Sequence

    from support.redis_servers import Server

PROGRAM = Path(__file__).with_name("_replicas_play.py")
STORES = ("sqlite", "redis", "cluster")
PROCESSES = (1, 2, 4)
ROAMING = ("redis", "cluster")
"""What SQLite has of a session is the same for all processes."""
SECONDS, SECONDS_QUICK = 8.0, 1.5
FEW, MANY, MANY_QUICK = 1_000, 100_000, 20_000
COMPARED, COMPARED_QUICK = 6_000, 1_500
TARGET, FLAT = "<= 1.5", "<= 1.2"
NAMES = [
    *(f"{what}_{store}" for store in STORES for what in ("over_get_evalsha", "store_over_get_evalsha")),
    *(f"{what}_{store}_roaming" for store in ROAMING for what in ("over_get_evalsha", "round_trips_a_decision")),
    *(f"round_trips_a_decision_{store}" for store in STORES),
    *(f"decisions_per_s_{store}_{number}" for store in STORES for number in PROCESSES),
    "bytes_per_session",
    "many_sessions_over_few_redis",
    "many_sessions_over_few_sqlite",
]


def quantile(values: Sequence[float], share: float) -> float:
    """Return a quantile, in microseconds."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))] * 1e6


def played(kind: str, place: str, port: int, size: int, *, processes: int, seconds: float, handles: int = 1) -> list[Times]:
    """Let replicas decide at the same time; each with so many handles to the store, among which its sessions roam."""
    root = Path(__file__).resolve().parents[2]
    paths = [str(root / "src"), str(root / "integrations"), str(root / "tests")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    command = [sys.executable, str(PROGRAM), kind, place, str(port), str(size), str(seconds), str(handles)]
    replicas = [
        subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(processes)
    ]
    for replica in replicas:
        assert replica.stdout is not None
        assert replica.stdout.readline() == "ready\n"
    for replica in replicas:
        assert replica.stdin is not None
        replica.stdin.write("go\n")
        replica.stdin.flush()
    return [Times(**json.loads(replica.communicate()[0])) for replica in replicas]


def print_store(kind: str, place: str, port: int, size: int, *, seconds: float) -> None:
    """Print the figures of one store."""
    for processes in PROCESSES:
        replicas = played(kind, place, port, size, processes=processes, seconds=seconds)
        decided, plain = [one for replica in replicas for one in replica.decided], [one for replica in replicas for one in replica.plain]
        stored = [one for replica in replicas for one in replica.stored]
        middle, worst = quantile(plain, 0.5), quantile(plain, 0.99)
        peer: dict[str, float | None] = {
            "p50_us": quantile(decided, 0.5),
            "p99_us": quantile(decided, 0.99),
            "boundary_p50_us": quantile([one for replica in replicas for one in replica.boundaries], 0.5),
            "store_p50_us": quantile(stored, 0.5),
            "store_p99_us": quantile(stored, 0.99),
            "get_evalsha_p50_us": middle,
            "get_evalsha_p99_us": worst,
            "over_p50": quantile(decided, 0.5) / middle,
            "over_p99": quantile(decided, 0.99) / worst,
            # On a machine that does other things as well, the fast tenth says what the work itself takes.
            "over_p10": quantile(decided, 0.1) / quantile(plain, 0.1),
            "store_over_p10": quantile(stored, 0.1) / quantile(plain, 0.1),
        }
        rate = sum(len(replica.decided) / replica.busy for replica in replicas)
        degraded = sum(replica.degraded for replica in replicas)
        note = f"decisions and their outcomes, on {os.cpu_count()} cores; {degraded} without the store"
        figure(f"decisions_per_s_{kind}_{processes}", rate, unit="decisions / s", n=len(decided), peer=peer, note=note)
        if processes == 1:
            figure(f"over_get_evalsha_{kind}", peer["over_p50"], unit="p50 / p50", n=len(decided), target=TARGET, note="the whole decision")
            over = quantile(stored, 0.5) / middle
            note = "the store's part of it: a load and a commit, reading and writing rows included"
            fast = {"over_p10": peer["store_over_p10"]}
            print_trips(kind, replicas)
            figure(f"store_over_get_evalsha_{kind}", over, unit="p50 / p50", n=len(stored), target=TARGET, peer=fast, note=note)
        say(f"{kind}, {processes} processes: " + ", ".join(f"{key} {value:,.1f}" for key, value in peer.items() if value is not None))


def print_trips(name: str, replicas: Sequence[Times]) -> None:
    """Print how often a decision asks its store."""
    trips = [one for replica in replicas for one in replica.trips]
    loads, commits = (sum(getattr(replica, what) for replica in replicas) / len(trips) for what in ("loads", "commits"))
    note = f"the median; {statistics.mean(trips):.2f} in the mean; of a call, outcome included: {loads:.2f} loads and {commits:.2f} commits"
    # Where sessions stay; and a file is no trip.
    target = "<= 1" if name in {"redis", "cluster"} else None
    figure(f"round_trips_a_decision_{name}", statistics.median(trips), unit="round trips", n=len(trips), target=target, note=note)


def print_roaming(kind: str, place: str, port: int, size: int, *, seconds: float) -> None:
    """Print what a decision costs where a session's next call arrives anywhere."""
    (times,) = played(kind, place, port, size, processes=1, seconds=seconds, handles=2)
    over = quantile(times.decided, 0.5) / quantile(times.plain, 0.5)
    note = f"each call on one of two replicas; p99: {quantile(times.decided, 0.99) / quantile(times.plain, 0.99):.2f}"
    print_trips(f"{kind}_roaming", [times])
    figure(f"over_get_evalsha_{kind}_roaming", over, unit="p50 / p50", n=len(times.decided), target=TARGET, note=note)


def print_bytes(server: Server) -> int:
    """Print what a session takes in Redis, and return the size of a row."""
    with open_store("redis", server.url) as store:
        times = Times()
        for _, _ in zip(range(200 * 24 - 200), decisions([store], Plain(server.port, 500), times), strict=False):
            pass
    keys = [key for key in server.command("KEYS", "session_router:*") if server.command("PTTL", key) > 0]
    used = [server.command("MEMORY", "USAGE", key, "SAMPLES", "0") for key in keys]
    rows = [server.command("STRLEN", key) for key in keys]
    note = f"MEMORY USAGE of key and row, after six turns with two models; the rows alone: {statistics.mean(rows):,.0f} bytes"
    figure("bytes_per_session", statistics.mean(used), unit="bytes", n=len(used), target="<= 1024", high=max(used), note=note)
    return round(statistics.mean(rows))


def fill(store: Any, number: int, row: bytes, server: Server | None) -> None:
    """Put so many sessions into a store, each like one that was played."""
    played_one = RedisRows(KEY).decode(SessionId("5e" * 32), row)
    from dataclasses import replace

    ids = [SessionId(f"{count:064x}") for count in range(number)]
    if server is None:
        for one in ids:
            store.commit(replace(played_one, id=one, version=1))
        return
    rows = RedisRows(KEY)
    for begin in range(0, number, 1_000):
        with server.client.pipeline(transaction=False) as pipe:
            for one in ids[begin : begin + 1_000]:
                pipe.set(key_of("session_router", one), rows.encode(replace(played_one, id=one), new_fence()), px=604_800_000)
            pipe.execute()


def print_flat(kind: str, few: Any, many: Any, port: int, size: int, *, number: int, compared: int) -> None:
    """Print what a decision costs with many sessions over what it costs with few, one after the other in the same process."""
    plain, of_few, of_many = Plain(port, size), Times(), Times()
    pair = decisions([few], plain, of_few, live=50), decisions([many], plain, of_many, live=50)
    for _ in range(compared):
        for one in pair:
            next(one)
    ratio = quantile(of_many.decided, 0.5) / quantile(of_few.decided, 0.5)
    note = f"{number:,} live sessions over {FEW:,}; p99: {quantile(of_many.decided, 0.99) / quantile(of_few.decided, 0.99):.2f}"
    figure(f"many_sessions_over_few_{kind}", ratio, unit="p50 / p50", n=compared, target=FLAT, note=note)


def main() -> None:
    """Print every figure."""
    quick = is_quick(__doc__, means="for a shorter time")
    logging.getLogger("session_router").setLevel(logging.ERROR)
    if shutil.which("redis-server") is None:
        missing(NAMES, "redis-server is missing: `apt-get install --no-install-recommends redis-server`")
    seconds, many, compared = (SECONDS_QUICK, MANY_QUICK, COMPARED_QUICK) if quick else (SECONDS, MANY, COMPARED)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with standalone(folder) as server:
            size = print_bytes(server)
            server.command("FLUSHALL")
            print_store("redis", server.url, server.port, size, seconds=seconds)
            print_roaming("redis", server.url, server.port, size, seconds=seconds)
            print_store("sqlite", str(folder / "sessions.db"), server.port, size, seconds=seconds)
        with cluster(folder) as nodes:
            addresses, port = ",".join(nodes.addresses), nodes.masters[0].port
            print_store("cluster", addresses, port, size, seconds=seconds)
            print_roaming("cluster", addresses, port, size, seconds=seconds)
        with standalone(folder) as small, standalone(folder) as large:
            row = a_row(small)
            with open_store("redis", small.url) as few, open_store("redis", large.url) as lots:
                fill(few, FEW, row, small)
                fill(lots, many, row, large)
                print_flat("redis", few, lots, small.port, size, number=many, compared=compared)
            with open_store("sqlite", str(folder / "few.db")) as few, open_store("sqlite", str(folder / "many.db")) as lots:
                fill(few, FEW, row, None)
                fill(lots, many, row, None)
                print_flat("sqlite", few, lots, small.port, size, number=many, compared=compared)


def a_row(server: Server) -> bytes:
    """Return the row of a session that was played, as one of a known id."""
    from dataclasses import replace

    with open_store("redis", server.url) as store:
        for _, _ in zip(range(40), decisions([store], Plain(server.port, 500), Times(), live=2), strict=False):
            pass
        key = next(key for key in server.command("KEYS", "session_router:*") if server.command("PTTL", key) > 0)
        session = store.load(SessionId(key.decode().partition("{")[2].rstrip("}")))
        assert session is not None
    server.command("FLUSHALL")
    return RedisRows(KEY).encode(replace(session, id=SessionId("5e" * 32)), new_fence())


if __name__ == "__main__":
    begun = time.monotonic()
    main()
    say(f"{time.monotonic() - begun:.0f} s")
