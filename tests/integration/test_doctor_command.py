"""`session-router doctor`, on real servers."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, TypeAlias

import pytest

from session_router.core.session import Session, SessionId
from session_router.stores.examination import Verdict
from session_router.stores.redis_memory import memory_findings
from session_router.stores.sqlite import SQLiteSessionStore
from support.pages import run_command
from support.redis_servers import HOST, MASTER, cluster, free_port, sentinel_set, standalone, until, vector_set_server

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

Doctor: TypeAlias = "Callable[[str], tuple[int, list[list[str]], str]]"
MODELS = '[models.fast]\nmodel = "openai:small"\nprices = {input = 0.25, output = 2}\n'


@pytest.fixture
def doctor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Doctor:
    """Run the command on a store's settings; returns its code, the rows of its table, and all it printed."""
    monkeypatch.setenv("COLUMNS", "600")
    monkeypatch.setenv("SESSION_ROUTER_KEY", "5e" * 32)

    def run(store: str) -> tuple[int, list[list[str]], str]:
        path = tmp_path / "router.toml"
        path.write_text(MODELS + store, encoding="utf-8")
        code, output = run_command(shlex.join(["session-router", "doctor", "--config", str(path)]))
        lines = [line for line in output.splitlines() if line.startswith("│")]
        return code, [[cell.strip() for cell in line.split("│")[1:-1]] for line in lines], output

    return run


def of(rows: list[list[str]], subject: str) -> list[list[str]]:
    return [row for row in rows if row[2] == subject]


def nodes(addresses: list[str]) -> str:
    return "nodes = [" + ", ".join(f'"{address}"' for address in addresses) + "]\n"


@pytest.mark.xdist_group("redis-standalone")
def test_a_server_with_a_limit_that_drops_nothing_is_fine(doctor: Doctor, tmp_path: Path) -> None:
    with standalone(tmp_path, maxmemory="100mb", maxmemory_policy="noeviction", appendonly="yes") as server:
        code, rows, output = doctor(f'[store]\nurl = "{server.url}"\nbudget_seconds = 5\n')
        assert code == 0, output
        assert {row[0] for row in rows} == {"fine"}, output
        assert [row[2] for row in rows[:-1]] == [
            "latency", "clock", "version", "modules", "role", "memory policy", "memory", "after a restart",
        ]  # fmt: skip
        assert rows[-1][2:4] == ["a session", "committed and read back"]
        assert of(rows, "role")[0][3] == "master"
        assert output.endswith("problems: 0, warnings: 0\n")
        # The trial row expires at once.
        assert all(0 <= server.command("PTTL", key) <= 1_000 for key in server.command("KEYS", "*"))


@pytest.mark.xdist_group("redis-standalone")
@pytest.mark.parametrize("policy", ["allkeys-lru", "volatile-ttl"])
def test_policies_that_drop_sessions_are_warned_of(doctor: Doctor, tmp_path: Path, policy: str) -> None:
    with standalone(tmp_path, maxmemory="100mb", maxmemory_policy=policy) as server:
        code, rows, _ = doctor(f'[store]\nurl = "{server.url}"\nbudget_seconds = 5\n')
    assert code == 0
    (row,) = of(rows, "memory policy")
    assert row[0] == "warning"
    assert row[3] == policy
    assert "no lock is lost" in row[4]


@pytest.mark.xdist_group("redis-standalone")
def test_a_full_server_and_a_replica_do_not_keep_sessions(doctor: Doctor, tmp_path: Path) -> None:
    with standalone(tmp_path) as server:
        server.command("CONFIG", "SET", "maxmemory", "1")
        code, rows, _ = doctor(f'[store]\nurl = "{server.url}"\nbudget_seconds = 5\n')
        assert code == 1
        assert of(rows, "a session")[0][0] == "problem"
        assert "out of memory" in of(rows, "a session")[0][3]
        assert of(rows, "memory")[0][0] == "warning"
        server.command("CONFIG", "SET", "maxmemory", "0")
        server.command("REPLICAOF", HOST, 1)
        code, rows, _ = doctor(f'[store]\nurl = "{server.url}"\nbudget_seconds = 5\n')
        assert code == 1
        assert of(rows, "role")[0][:1] + of(rows, "role")[0][3:4] == ["problem", "replica"]
        assert f"{HOST}:1" in of(rows, "role")[0][4]


@pytest.mark.xdist_group("redis-standalone")
@pytest.mark.parametrize(
    ("rights", "code", "found"),
    [
        ("~* +get +set +eval +evalsha +ping +info +time", 1, "can't run this command"),
        ("~* +get +set +getrange +eval +evalsha", 0, "committed and read back"),
        ("~session_router:* +@read +@write +@scripting +ping +info +time", 0, "committed and read back"),
    ],
)
def test_what_a_user_may_do_is_found_out(doctor: Doctor, tmp_path: Path, rights: str, code: int, found: str) -> None:
    with standalone(tmp_path, maxmemory="100mb", maxmemory_policy="noeviction", user=f"me on >hush {rights}") as server:
        url = f"redis://me:hush@{HOST}:{server.port}"
        ended, rows, output = doctor(f'[store]\nurl = "{url}"\nbudget_seconds = 5\n')
    assert ended == code, output
    assert found in of(rows, "a session")[0][3]
    assert [row for row in rows if row[0] == "problem" and row[2] != "a session"] == []
    assert "hush" not in output


@pytest.mark.xdist_group("redis-cluster")
def test_a_node_of_a_cluster_that_is_given_as_the_server_and_a_cluster_that_is_down(doctor: Doctor, tmp_path: Path) -> None:
    with cluster(tmp_path) as servers:
        for _ in range(4):
            code, rows, output = doctor(f'[store]\nurl = "{servers.masters[0].url}"\nbudget_seconds = 5\n')
            assert code == 1, output
            assert "store.cluster" in of(rows, "cluster")[0][4]
        for server in servers.masters:
            server.command("CLUSTER", "DELSLOTS", 7)
        until(lambda: b"cluster_state:fail" in servers.masters[0].command("CLUSTER", "INFO"), "a cluster that is down")
        code, rows, output = doctor(f"[store]\nbudget_seconds = 5\n[store.cluster]\n{nodes(servers.addresses)}")
        assert code == 1, output
        assert "the cluster is down" in of(rows, "slots")[0][4]


def test_a_server_that_is_not_there_is_a_problem(doctor: Doctor) -> None:
    code, rows, output = doctor(f'[store]\nurl = "redis://:hush@{HOST}:{free_port()}"\n')
    assert code == 1
    assert [row[0] for row in rows] == ["problem", "problem"]
    assert "stays on its model" in rows[0][4]
    assert "hush" not in output


@pytest.mark.xdist_group("redis-sentinel")
def test_sentinels_are_asked_and_their_master_is_examined(doctor: Doctor, tmp_path: Path) -> None:
    with sentinel_set(tmp_path) as servers:
        table = f'[store.sentinel]\nmaster = "{MASTER}"\n{nodes(servers.addresses)}'
        code, rows, output = doctor(f"[store]\nbudget_seconds = 5\n{table}")
        assert code == 0, output
        assert [row[0] for row in of(rows, "Sentinel")] == ["fine"] * 3
        assert of(rows, "replicas")[0][3] == "1"
        servers.sentinels[0].kill()
        code, rows, _ = doctor(f"[store]\nbudget_seconds = 5\n{table}")
        assert code == 0
        assert sorted(row[0] for row in of(rows, "Sentinel")) == ["fine", "fine", "warning"]
        code, rows, _ = doctor(f'[store.sentinel]\nmaster = "other"\n{nodes(servers.addresses)}')
        assert code == 1
        assert [row[4] for row in of(rows, "Sentinel") if row[0] == "problem"] == [
            "it looks after another master: check `store.sentinel.master`."
        ] * 2


@pytest.mark.xdist_group("redis-cluster")
def test_every_master_of_a_cluster_is_examined(doctor: Doctor, tmp_path: Path) -> None:
    with cluster(tmp_path, cluster_require_full_coverage="no") as servers:
        table = f"[store]\nbudget_seconds = 5\n[store.cluster]\n{nodes(servers.addresses)}"
        code, rows, output = doctor(table)
        assert code == 0, output
        assert of(rows, "slots")[0][3] == "16,384 of 16,384 on 3 masters"
        assert len(of(rows, "role")) == 3
        # Nobody takes over from a master without a replica.
        assert [row[0] for row in of(rows, "replicas")] == ["warning"] * 3
        for server in servers.masters:
            server.command("CLUSTER", "DELSLOTS", 7)
        code, rows, output = doctor(table)
        assert code == 1, output
        assert of(rows, "slots")[0][0] == "problem"


@pytest.mark.xdist_group("redis-standalone")
def test_a_cache_in_redis_says_who_looks_for_what_is_similar(doctor: Doctor, tmp_path: Path) -> None:
    with standalone(tmp_path, maxmemory="100mb", appendonly="yes") as server:
        for table, examined in (
            (f'[store]\nurl = "{server.url}"\nbudget_seconds = 5\n[cache]\nkind = "redis"\n', 1),
            (f'[cache]\nurl = "{server.url}"\nbudget_seconds = 5\n', 1),
        ):
            code, rows, output = doctor(table)
            assert code == 0, output
            assert len(of(rows, "version")) == examined
            assert of(rows, "similar questions")[0][3].startswith("looked for by each replica, in an index of its own")
            assert of(rows, "an answer")[0][0::3] == ["fine", "kept and read back"]
        assert not server.command("KEYS", "*:rows")
        server.command("CONFIG", "SET", "maxmemory", "1")
        code, rows, output = doctor(f'[cache]\nurl = "{server.url}"\nbudget_seconds = 5\n')
        assert code == 1, output
        assert "out of memory" in of(rows, "an answer")[0][3]
    code, rows, output = doctor(f'[cache]\nurl = "{server.url}"\n')
    assert code == 1, output
    assert "each question is asked of a model" in of(rows, "an answer")[0][4]


@pytest.mark.vector_sets
@pytest.mark.xdist_group("redis-vector-sets")
def test_vector_sets_are_told_of(doctor: Doctor, tmp_path: Path) -> None:
    with standalone(tmp_path, program=vector_set_server()) as server:
        _, rows, output = doctor(f'[cache]\nurl = "{server.url}"\nbudget_seconds = 5\n')
    assert of(rows, "similar questions")[0][3] == "looked for by the servers, in vector sets", output


def test_other_caches_say_whom_they_are_for(doctor: Doctor) -> None:
    code, rows, _ = doctor('[cache]\npath = "answers.sqlite3"\n')
    assert (code, rows[1][3:]) == (0, ["in a file", "for the processes of one machine."])
    code, rows, _ = doctor("[cache]\n")
    assert (code, rows[1][3:]) == (0, ["in memory", "each replica has answers of its own."])


def test_a_file_that_is_no_cache_is_a_problem(doctor: Doctor, tmp_path: Path) -> None:
    path = tmp_path / "answers.sqlite3"
    path.write_text("of somebody else", encoding="utf-8")
    code, rows, output = doctor(f'[cache]\npath = "{path}"\n')
    assert (code, rows[1][0]) == (1, "problem"), output
    assert "not an intact cache database" in output
    assert path.read_text(encoding="utf-8") == "of somebody else"


def test_a_session_file_with_damaged_pages_is_a_problem(doctor: Doctor, tmp_path: Path) -> None:
    path = tmp_path / "sessions.sqlite3"
    with SQLiteSessionStore(path) as store:
        for number in range(200):
            assert store.commit(Session(id=SessionId(f"{number:064x}"), version=1))
    content = bytearray(path.read_bytes())
    content[4096:] = b"\xff" * (len(content) - 4096)
    path.write_bytes(content)
    code, rows, output = doctor(f'[store]\npath = "{path}"\n')
    assert (code, rows[0][0]) == (1, "problem"), output
    assert "not an intact session database" in output
    assert path.read_bytes() == content


def test_other_stores_say_whom_they_are_for(doctor: Doctor) -> None:
    code, rows, _ = doctor('[store]\npath = "sessions.sqlite3"\n')
    assert (code, rows[0][3:]) == (0, ["intact, and can be written", "for the processes of one machine."])
    code, rows, _ = doctor("")
    assert (code, rows[0][3:]) == (0, ["always there", "each replica has sessions of its own."])
    code, _, output = doctor('[store]\nkind = "redis"\n')
    assert code == 2
    assert "store.url" in output


def test_a_server_that_tells_nothing_of_its_memory_is_warned_of() -> None:
    (finding,) = memory_findings("h:1", {})
    assert finding.verdict is Verdict.WARNING
    assert "INFO" in finding.means
