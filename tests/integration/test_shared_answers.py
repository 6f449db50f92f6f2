"""Two services, each in a process of its own, share what was answered, as a configuration says."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from session_router.config import load_cache
from session_router.core.governance import Tag
from session_router.testing.cached import a_question, an_answer
from support.pages import run_command
from support.processes import start
from support.redis_servers import cluster, standalone, vector_set_server

if TYPE_CHECKING:
    from collections.abc import Callable

PROGRAM = Path(__file__).resolve().parents[1] / "support" / "answering_process.py"
MODELS = '[models.fast]\nmodel = "openai:small"\nprices = {input = 0.25, output = 2}\n'
HOURS, SAME = "What are your opening hours?", "what are your opening hours"


@pytest.fixture
def ask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str, str], dict[str, Any]]:
    monkeypatch.setenv("SESSION_ROUTER_KEY", "5e" * 32)

    def run(tables: str, thread: str, question: str) -> dict[str, Any]:
        path = tmp_path / "router.toml"
        path.write_text(MODELS + tables, encoding="utf-8")
        process = start(str(PROGRAM), str(path), thread, question)
        output, _ = process.communicate(timeout=60)
        assert process.returncode == 0
        told: dict[str, Any] = json.loads(output)
        return told

    return run


def shared(ask: Any, tables: str) -> None:
    first = ask(tables, "a", HOURS)
    assert first["asked"] == 1
    second = ask(tables, "b", SAME)
    assert second == {"text": first["text"], "decision": "cache_hit", "asked": 0}
    assert ask(tables, "c", "What are your opening hours on Sunday?")["asked"] == 1


@pytest.mark.xdist_group("redis-standalone")
@pytest.mark.parametrize(
    "tables",
    [
        pytest.param('[cache]\nurl = "{url}"\nbudget_seconds = 5\n', id="of its own"),
        pytest.param('[store]\nurl = "{url}"\nbudget_seconds = 5\n[cache]\nkind = "redis"\n', id="where sessions are"),
    ],
)
def test_on_one_server(ask: Any, tmp_path: Path, tables: str) -> None:
    with standalone(tmp_path) as server:
        shared(ask, tables.format(url=server.url))


@pytest.mark.xdist_group("redis-standalone")
def test_the_command_line_looks_into_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SESSION_ROUTER_KEY", "5e" * 32)
    path = tmp_path / "router.toml"
    with standalone(tmp_path) as server:
        path.write_text(f'{MODELS}[cache]\nurl = "{server.url}"\nbudget_seconds = 5\n', encoding="utf-8")
        cache = load_cache(path)
        assert cache is not None
        with cache:
            for number in range(3):
                question = a_question(f"What is number {number}?", tag=Tag(subjects=frozenset({"bob"} if number else ())))
                assert cache.store(question, an_answer()) is None

        def told(command: str) -> str:
            code, output = run_command(shlex.join(["session-router", "cache", *command.split(), "--config", str(path)]))
            assert code == 0, output
            return output

        assert told("status").startswith("3 entries kept\nsimilar questions are looked for by each replica")
        assert told("erase bob") == "2 entries removed\n"
        assert told("purge --all") == "1 entry removed, 0 kept\n"
    code, output = run_command(shlex.join(["session-router", "cache", "status", "--config", str(path)]))
    assert code == 2, output


@pytest.mark.xdist_group("redis-cluster")
def test_on_a_cluster(ask: Any, tmp_path: Path) -> None:
    with cluster(tmp_path) as servers:
        nodes = ", ".join(f'"{address}"' for address in servers.addresses)
        shared(ask, f"[cache]\nbudget_seconds = 5\n[cache.cluster]\nnodes = [{nodes}]\n")


@pytest.mark.vector_sets
@pytest.mark.xdist_group("redis-vector-sets")
def test_with_vector_sets(ask: Any, tmp_path: Path) -> None:
    with standalone(tmp_path, program=vector_set_server()) as server:
        shared(ask, f'[cache]\nurl = "{server.url}"\nbudget_seconds = 5\n')


@pytest.mark.xdist_group("redis-standalone")
def test_a_server_that_is_dead_costs_answers_only(ask: Any, tmp_path: Path) -> None:
    with standalone(tmp_path) as server:
        url = server.url
    for thread in "ab":
        assert ask(f'[cache]\nurl = "{url}"\n', thread, HOURS)["asked"] == 1
