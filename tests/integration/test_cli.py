"""The command as a user runs it: another process, its output and its exit code."""

from __future__ import annotations

import copy
import gzip
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from rich.console import Console

from session_router import MemorySessionStore, load_router
from session_router.cli.offers import TERMS
from session_router.cli.offline import KEPT_SESSIONS, REPLAY_KEY
from session_router.cli.row_shape import problem_of
from session_router.cli.rows import RowFile
from session_router.cli.story import tell
from session_router.cli.words import ACTIONS, DEGRADED, LOCKS, REASONS, in_words
from session_router.core.boundary import LockKind
from session_router.core.decision import Action, Reason
from session_router.core.model import ModelName
from session_router.core.offer import Offer
from session_router.core.pricing import USD
from session_router.recordings import Recording, SessionFile
from session_router.replay import replay_session
from support.shared_data import shared_data

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = "import sys; sys.argv[0] = 'session-router'; {before}; from session_router.cli import run; run()"
CONFIG = str(ROOT / "examples" / "router.toml")
TAU2 = "sessions_tau2_retail_telecom.jsonl.gz"


def command(*arguments: object, before: str = "pass") -> list[str]:
    return [sys.executable, "-c", PROGRAM.format(before=before), *map(str, arguments)]


def environment(**variables: str) -> dict[str, str]:
    own = {
        name: value for name, value in os.environ.items() if not name.startswith("SESSION_ROUTER") and name not in {"COLUMNS", "NO_COLOR"}
    }
    return {**own, "PYTHONPATH": os.pathsep.join(sys.path), **variables}


def run(*arguments: object, before: str = "pass", **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments, before=before), capture_output=True, text=True, check=False, env=environment(**variables), timeout=60
    )


def rows_of(path: Path) -> list[dict[str, Any]]:
    raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return [json.loads(line) for line in raw.splitlines()]


def line(name: str, *messages: dict[str, Any]) -> str:
    own = messages or ({"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"})
    return json.dumps({"session_id": name, "messages": own})


@pytest.fixture(scope="module")
def replayed(tmp_path_factory: pytest.TempPathFactory) -> tuple[subprocess.CompletedProcess[str], Path]:
    rows = tmp_path_factory.mktemp("rows") / "rows.jsonl"
    stake = {"SESSION_ROUTER__POLICY__STAKE": "0.3"}
    return run("replay", shared_data(TAU2), "--config", CONFIG, "--json", rows, "--limit", 20, "--start", "2026-01-01", **stake), rows


def test_replay_writes_one_row_for_each_recorded_answer(replayed: tuple[subprocess.CompletedProcess[str], Path]) -> None:
    done, path = replayed
    rows = rows_of(path)
    with gzip.open(shared_data(TAU2), "rt", encoding="utf-8") as file:
        sessions = [json.loads(next(file)) for _ in range(20)]
    answers = [
        (session["session_id"], index)
        for session in sessions
        for index, message in enumerate(session["messages"])
        if message["role"] == "assistant"
    ]
    assert [(row["session_id"], row["message_index"]) for row in rows] == answers
    assert done.returncode == 0
    assert done.stderr == ""
    required = {"session_id", "message_index", "decision", "model", "previous", "reason", "lock", "evidence", "tokens_measured"}
    assert all(required <= row.keys() for row in rows)
    measured = {(session["session_id"], int(index)) for session in sessions for index in session["turn_usage"] or {}}
    assert {(row["session_id"], row["message_index"]) for row in rows if row["tokens_measured"]} == measured & set(answers)


def test_replay_writes_no_message_text(replayed: tuple[subprocess.CompletedProcess[str], Path]) -> None:
    written = replayed[1].read_text(encoding="utf-8")
    with gzip.open(shared_data(TAU2), "rt", encoding="utf-8") as file:
        texts = [message["content"] for message in json.loads(next(file))["messages"] if message["content"]]
    assert all(json.dumps(text)[1:-1] not in written for text in texts if len(text) > 20)


def test_the_summary_counts_the_rows(replayed: tuple[subprocess.CompletedProcess[str], Path]) -> None:
    done, path = replayed
    rows = rows_of(path)
    locked = sum(row["lock"] is not None for row in rows)
    assert re.search(rf"locked calls\s*│\s*{locked:,} ", done.stdout)
    assert re.search(rf"calls\s*│\s*{len(rows):,} ", done.stdout)
    for name in ("session-router", "single turn", "always fast", "always strong", "estimate"):
        assert name in done.stdout
    assert "\x1b[" not in done.stdout


def test_replaying_again_gives_the_same_rows(replayed: tuple[subprocess.CompletedProcess[str], Path], tmp_path: Path) -> None:
    again = tmp_path / "again.jsonl.gz"
    # The ids of sessions are the same too: a replay has its own key.
    variables = {"SESSION_ROUTER__POLICY__STAKE": "0.3", "SESSION_ROUTER_KEY": "ab" * 32}
    run("replay", shared_data(TAU2), "--config", CONFIG, "--json", again, "--limit", 20, "--start", "2026-01-01", **variables)
    assert rows_of(again) == rows_of(replayed[1])


def test_rows_on_standard_output_are_nothing_but_rows() -> None:
    done = run("replay", shared_data(TAU2), "--config", CONFIG, "--json", "-", "--limit", 1)
    assert all(json.loads(one)["session_id"] for one in done.stdout.splitlines())
    assert "locked calls" in done.stderr


def test_explain_tells_every_call(replayed: tuple[subprocess.CompletedProcess[str], Path]) -> None:
    path = replayed[1]
    rows = rows_of(path)
    session = next(row["session_id"] for row in rows if row["lock"])
    own = [row for row in rows if row["session_id"] == session]
    done = run("explain", path, "--session", session)
    assert done.returncode == 0
    assert done.stdout.count("(message ") == len(own)
    for row in own:
        assert f"call {row['call']} (message {row['message_index']})" in done.stdout
        assert REASONS[Reason(row["reason"])] in done.stdout
    assert f"in all {len(own)} calls" in done.stdout
    assert f"{sum(row['lock'] is not None for row in own)} locked" in done.stdout
    assert "p_success" in done.stdout
    assert "\x1b[" not in done.stdout
    turn = run("explain", path, "--session", session, "--turn", own[-1]["turn"])
    assert turn.stdout.count("(message ") == sum(row["turn"] == own[-1]["turn"] for row in own)


def told(*rows: dict[str, Any]) -> str:
    assert [problem_of(row) for row in rows] == [None] * len(rows)
    console = Console(file=io.StringIO(), width=160, no_color=True)
    tell(console, rows, turn=None)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_explain_tells_the_dollars_of_each_candidate_and_what_was_assumed(replayed: tuple[subprocess.CompletedProcess[str], Path]) -> None:
    rows = [row for row in rows_of(replayed[1]) if "forecast" in row["evidence"]]
    assert {row["evidence"]["trusted"] for row in rows} == {True, False}
    for row in rows:
        story, evidence = told(row), row["evidence"]
        for one in evidence["candidates"]:
            line = next(line for line in story.splitlines() if line.lstrip(" *").startswith(one["model"] + " "))
            amounts = [float(word) for word in line.split() if re.fullmatch(r"\d+\.\d{5}", word)]
            assert amounts[-1] == pytest.approx(one["expected"], abs=6e-6)
            assert sum(amounts[:-1]) == pytest.approx(amounts[-1], abs=3e-5)
            assert all(f"{one[term]:.5f}" in line for term in TERMS if term in one)
        forecast = evidence["forecast"]
        assert f"a segment of {forecast['calls']:.1f} calls, {forecast['output']:,.0f} output tokens a call" in story
        assert f"{forecast['further']:.1f} segments after it" in story
        assert f"{evidence['spent'][0]:.5f} for all segments; ${evidence['spent'][1]:.5f} had the session never switched" in story
        assert ("not trusted" in story) != evidence["trusted"]
        assert ("the work function decided" in story) == (not evidence["trusted"] and row["reason"] in {"still_best", "work_function"})


def test_every_term_of_an_offer_is_told_and_explained() -> None:
    offer = Offer(
        model=ModelName("a"),
        ingest=USD(1.0),
        loop=USD(2.0),
        risk=USD(3.0),
        handoff=USD(4.0),
        afterwards=USD(5.0),
        refresh=USD(0.0),
        arrival=USD(0.0),
    )
    assert {*TERMS, "expected"} == set(offer.to_plain())
    story = told(ROW)
    assert all(f"\n{term}: {meaning}\n" in story for term, meaning in TERMS.items())


def test_rows_of_earlier_releases_are_told() -> None:
    candidates = [{"model": "a", "cost": 0.1, "p_success": 0.5, "expected": 0.2}]
    story = told({**ROW, "evidence": {"tokens": 1, "candidates": candidates}})
    assert "$0.10000 for the call \u00b7 $0.20000 expected \u00b7 50.0% to serve it well (p_success)" in story
    assert not [word for word in (*TERMS, "assumed", "predictions", "expected so far") if f"{word}:" in story]


def test_what_all_sessions_have_in_common_outlives_them_in_a_replay() -> None:
    def trusted_from_the_start(maximum_sessions: int) -> int:
        router = load_router(CONFIG, store=MemorySessionStore(maximum_sessions=maximum_sessions), key=REPLAY_KEY)
        sessions = [item for item in islice(SessionFile(shared_data(TAU2)), 10) if isinstance(item, Recording)]
        calls = [call for session in sessions for call in replay_session(session, router)]
        return sum(call.decision.evidence.trusted is True for call in calls if call.decision.turn == 1)

    assert trusted_from_the_start(1) == trusted_from_the_start(KEPT_SESSIONS) > 0


def test_explain_says_what_was_excluded_and_degraded(tmp_path: Path) -> None:
    row: dict[str, Any] = {
        "session_id": "s\x1b[31m[bold]",
        "message_index": 1,
        "decision": "refuse",
        "reason": "reason_of_tomorrow",
        "model": None,
        "previous": "a",
        "lock": {"kind": "tool_results_unread", "model": "a", "waiting_for": 0},
        "turn": 1,
        "call": 2,
        "evidence": {
            "candidates": [{"model": "a", "excluded": "level restricted is above its public", "uncleared": True}],
            "degraded": ["store"],
            "tag": "data labelled restricted",
            "exposures": [
                {"model": "b", "tag": "data labelled internal", "until": 1_767_225_600.0},
                {"model": "c", "tag": "data labelled internal", "until": None},
                {"model": "d", "tag": "data labelled internal", "until": 1e300},
            ],
        },
    }
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(row) + "\n", encoding="utf-8")
    done = run("explain", path, "--session", row["session_id"])
    for told in (
        "is refused",
        "not cleared: level restricted",
        DEGRADED["store"],
        "data labelled restricted",
        "still held elsewhere: b may have data labelled internal, until 2026-01-01",
        "c may have data labelled internal, for how long is not known",
        "d may have data labelled internal, until 1e+300",
        LOCKS[LockKind.TOOL_RESULTS_UNREAD],
    ):
        assert told in done.stdout
    assert "reason of tomorrow" in done.stdout
    assert "[bold]" in done.stdout
    assert "\x1b" not in done.stdout


@pytest.mark.parametrize(
    ("asked", "near"), [("tau2/retail", "tau2/retail/"), ("tau2/retial/toolorchestra-gpt-5/0/0", "tau2/retail/toolorchestra")]
)
def test_explain_lists_near_matches_of_an_unknown_session(
    replayed: tuple[subprocess.CompletedProcess[str], Path], asked: str, near: str
) -> None:
    done = run("explain", replayed[1], "--session", asked)
    assert done.returncode == 2
    assert near in done.stderr
    assert "Traceback" not in done.stderr


def test_explain_goes_on_after_rows_that_are_none(tmp_path: Path) -> None:
    good = {"session_id": "s", "message_index": 1, "decision": "keep", "reason": "first_call", "turn": 1, "call": 1, "evidence": {}}
    bad: list[Any] = [{**good, "turn": "1"}, {**good, "evidence": {"candidates": [1]}}, {**good, "lock": "x"}, {"session_id": "s"}, []]
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in [*bad, good]), encoding="utf-8")
    done = run("explain", path, "--session", "s")
    assert done.returncode == 1
    assert [f"line {number}" in done.stderr for number in range(1, 7)] == [True] * 5 + [False]
    assert "in all 1 call" in done.stdout


ROW: dict[str, Any] = {
    "session_id": "s",
    "message_index": 1,
    "decision": "keep",
    "reason": "first_call",
    "model": "a",
    "previous": "b",
    "lock": {"kind": "stored", "model": "a", "waiting_for": 1},
    "turn": 1,
    "call": 1,
    "policy": "p",
    "evidence": {
        "tokens": 1,
        "candidates": [
            {
                "model": "a",
                "excluded": "no",
                "cost": 0.1,
                "p_success": 0.5,
                "cached": 3,
                "expected": 0.31,
                "ingest": 0.01,
                "loop": 0.02,
                "risk": 0.03,
                "handoff": 0.05,
                "afterwards": 0.2,
            }
        ],
        "forecast": {"calls": 2.5, "growth": 120.0, "output": 80.0, "further": 4.0, "between": 50.0},
        "trusted": True,
        "spent": [0.4, 0.5],
        "tag": "t",
        "blocked_by": ["thinking"],
        "degraded": ["store"],
    },
    "source": "x",
    "line": 1,
    "recorded_model": "m",
    "tokens": {"input": 1, "output": 2},
    "dollars": 0.5,
}
STRANGE: list[Any] = [
    None,
    True,
    5,
    -1,
    10**400,
    float("inf"),
    float("nan"),
    "x",
    "\ud800",
    "[/]",
    [],
    [None],
    [[5]],
    {},
    {"a": 1},
    {"model": []},
]


def told_places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    for name in value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        yield (*path, name)
        yield from told_places(value[name], (*path, name))


def test_a_row_with_anything_in_it_is_told_or_is_one_error() -> None:
    outcomes = set[bool]()
    for path in told_places(ROW):
        for strange in STRANGE:
            row: Any = copy.deepcopy(ROW)
            target = row
            for name in path[:-1]:
                target = target[name]
            target[path[-1]] = strange
            problem = problem_of(row)
            outcomes.add(problem is None)
            if problem is None:
                console = Console(file=io.TextIOWrapper(io.BytesIO(), encoding="utf-8"), width=160)
                tell(console, [row, row], turn=None)
            else:
                assert ".".join(map(str, path)).startswith(problem[0]) or problem[0].startswith(".".join(map(str, path)))
                assert problem[1].startswith(("expected", "it is missing"))
    assert problem_of(ROW) is None
    assert outcomes == {True, False}


def test_explain_needs_no_unicode_and_no_columns(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps({**ROW, "model": "mod\u00e8le"}) + "\n", encoding="utf-8")
    done = run("explain", path, "--session", "s", PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stderr) == (0, "")
    assert "mod?le" in done.stdout
    assert run("explain", path, "--session", "s\u00e8", PYTHONIOENCODING="ascii").returncode == 2


@pytest.fixture(scope="module")
def one_row(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    path = tmp_path_factory.mktemp("rows") / "rows.jsonl"
    path.write_text(json.dumps(ROW) + "\n", encoding="utf-8")
    return path, run("explain", path, "--session", "s").stdout


@pytest.mark.parametrize("columns", ["0", "\u00b2", "9" * 5_000, "-3", "x"])
def test_columns_that_are_none_are_not_believed(columns: str, one_row: tuple[Path, str]) -> None:
    path, story = one_row
    assert "in all 1 call" in story
    done = run("explain", path, "--session", "s", COLUMNS=columns)
    assert (done.returncode, done.stdout, done.stderr) == (0, story, "")
    assert "explain" in run("--help", COLUMNS=columns).stdout


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_closed_stream_stops_no_command(stream: str, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(ROW) + "\n", encoding="utf-8")
    assert run("explain", path, "--session", "s", before=f"sys.{stream} = None").returncode == 0


def test_rows_to_a_closed_standard_output_are_an_error(tmp_path: Path) -> None:
    path = tmp_path / "sessions.jsonl"
    path.write_text(line("a"), encoding="utf-8")
    done = run("replay", path, "--config", CONFIG, "--json", "-", before="sys.stdout = None")
    assert done.returncode == 2
    assert "standard output is closed" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_bad_sessions_are_counted_and_the_rest_is_replayed(tmp_path: Path) -> None:
    path, rows = tmp_path / "sessions.jsonl", tmp_path / "rows.jsonl"
    path.write_text("\n".join([line("a"), "nonsense", line("b", {"role": "robot", "content": "x"}), line("a")]), encoding="utf-8")
    done = run("replay", path, "--config", CONFIG, "--json", rows)
    assert done.returncode == 1
    assert "line 2" in done.stderr
    assert "line 3" in done.stderr
    assert "2 sessions could not be replayed" in done.stdout
    # Two recordings of one session id are two sessions: the second starts anew.
    assert [(row["line"], row["previous"]) for row in rows_of(rows)] == [(1, None), (4, None)]
    assert run("replay", path, "--config", CONFIG, "--lenient").returncode == 0
    story = run("explain", rows, "--session", "a")
    assert story.stdout.count("session a") == 2


def test_an_empty_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").touch()
    assert run("replay", tmp_path / "empty.jsonl", "--config", CONFIG).returncode == 1


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["replay", "nowhere.jsonl", "--config", CONFIG], "no such file"),
        (["replay", CONFIG], "SESSION_ROUTER_CONFIG"),
        (["replay", CONFIG, "--config", "nowhere.toml"], "nowhere.toml"),
        (["replay", CONFIG, "--config", CONFIG, "--json", "/nowhere/rows"], "--json"),
        (["replay", CONFIG, "--config", CONFIG, "--json", CONFIG], "name another"),
        (["explain", "nowhere.jsonl", "--session", "s"], "no such file"),
    ],
)
def test_what_cannot_start_says_why_in_one_line(arguments: list[str], told: str) -> None:
    before = Path(CONFIG).read_bytes()
    done = run(*arguments)
    assert done.returncode == 2
    assert told in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert Path(CONFIG).read_bytes() == before


def test_a_wrong_configuration_is_told_without_a_traceback(tmp_path: Path) -> None:
    path = tmp_path / "router.toml"
    path.write_text(Path(CONFIG).read_text(encoding="utf-8").replace("stake =", "steak =", 1), encoding="utf-8")
    done = run("replay", CONFIG, "--config", path)
    assert done.returncode == 2
    assert f"{path}: `policy.steak` is 0.1; there is no such setting; did you mean `stake`?" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("package", ["typer", "rich"])
def test_without_its_extra_the_command_names_it(package: str) -> None:
    done = run("--help", before=f"sys.modules[{package!r}] = None")
    assert done.returncode == 2
    assert "session-router[cli]" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_an_interrupt_keeps_what_was_written(tmp_path: Path) -> None:
    path, rows = tmp_path / "sessions", tmp_path / "rows.jsonl"
    os.mkfifo(path)
    process = subprocess.Popen(
        command("replay", path, "--config", CONFIG, "--json", rows),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    with process, path.open("w", encoding="utf-8", buffering=1) as pipe:
        for number in range(3):
            pipe.write(line(f"s{number}") + "\n")
        deadline = time.monotonic() + 30
        # The pipe stays open: the command is waiting for a fourth session when the interrupt comes.
        while (not rows.exists() or len(rows.read_text(encoding="utf-8").splitlines()) < 3) and time.monotonic() < deadline:
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=30)
    assert process.returncode == 130, stderr
    assert [row["session_id"] for row in rows_of(rows)] == ["s0", "s1", "s2"]
    assert re.search("interrupted (after|in) the session of line 3", stdout)
    assert "Traceback" not in stderr


def test_packed_rows_on_the_disk_are_whole_while_the_command_runs(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl.gz"
    written = [{"number": number, "digits": str(3**1_000)} for number in range(5_000)]
    with RowFile(path) as rows:
        for row in written:
            rows.write(row)
            rows.flush()
        there = gzip.decompress(path.read_bytes()).decode().splitlines()
        assert there
        assert list(map(json.loads, there)) == written[: len(there)]
    assert list(map(json.loads, gzip.decompress(path.read_bytes()).splitlines())) == written
    with RowFile(path):
        pass
    assert gzip.decompress(path.read_bytes()) == b""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no disk that is always full")
@pytest.mark.parametrize("arguments", [("prices", "--config", CONFIG), ("replay", shared_data(TAU2), "--config", CONFIG, "--limit", 1)])
def test_a_full_disk_behind_standard_output_is_told_in_one_line(arguments: tuple[object, ...]) -> None:
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        done = subprocess.run(
            command(*arguments), stdout=full, stderr=subprocess.PIPE, text=True, check=False, env=environment(), timeout=60
        )
    assert done.returncode == 2
    assert done.stderr == "error: standard output cannot be written (No space left on device).\n"


@pytest.mark.parametrize(("variables", "coloured"), [({"TERM": "xterm"}, True), ({"TERM": "xterm", "NO_COLOR": "1"}, False)])
def test_colour_on_a_terminal_only(
    replayed: tuple[subprocess.CompletedProcess[str], Path], variables: dict[str, str], *, coloured: bool
) -> None:
    import pty

    path = replayed[1]
    master, terminal = pty.openpty()
    asked = command("explain", path, "--session", rows_of(path)[0]["session_id"], "--turn", 1)
    with subprocess.Popen(asked, stdout=terminal, stderr=terminal, env=environment(**variables)) as process:
        os.close(terminal)
        shown = b""
        try:
            while piece := os.read(master, 65536):
                shown += piece
        except OSError:
            pass  # how Linux says that the other end is closed
        finally:
            os.close(master)
    assert process.returncode == 0
    assert (re.search(rb"\x1b\[(\d+;)*3[0-7]m", shown) is not None) == coloured
    assert b"turn 1" in shown


@pytest.mark.parametrize(("kinds", "words"), [(Action, ACTIONS), (Reason, REASONS), (LockKind, LOCKS)])
def test_every_action_reason_and_lock_has_a_sentence(kinds: Any, words: Any) -> None:
    assert set(words) == set(kinds)
    assert all(in_words(kind.value, words) == words[kind] for kind in kinds)
    assert len(set(words.values())) == len(words)
