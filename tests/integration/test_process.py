"""The command as a process: what becomes of it when nobody reads on, and when it is interrupted, whenever that is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from integration.test_cli import CONFIG, command, environment, line
from session_router import AuditFile

INTERRUPTING = """
import sys
class Interrupting:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            raise KeyboardInterrupt
sys.meta_path.insert(0, Interrupting())
"""
AT_THE_END = "import atexit, os, signal; atexit.register(os.kill, os.getpid(), signal.SIGINT)"


def unread(*arguments: object, together: bool = False) -> tuple[int, str]:
    """Run a command whose output nobody reads, nor, `together`, its errors; return its exit code, and its errors."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            command(*arguments),
            stdout=writer,
            stderr=writer if together else subprocess.PIPE,
            text=True,
            check=False,
            env=environment(),
            timeout=60,
        )
    finally:
        os.close(writer)
    return done.returncode, done.stderr or ""


def interrupted(before: str, *arguments: object) -> tuple[int, str, str]:
    program = f"{before}\nimport sys; sys.argv[0] = 'session-router'; from session_router.cli import run; run()"
    done = subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)], capture_output=True, text=True, check=False, env=environment(), timeout=60
    )
    return done.returncode, done.stdout, done.stderr


@pytest.fixture
def sessions(tmp_path: Path) -> Path:
    path = tmp_path / "sessions.jsonl"
    path.write_text("".join(f"{line(f's{number}')}\n" for number in range(50)), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["--version"],
        ["prices", "--config", CONFIG],
        ["prices", "--help"],
        ["check-policy", "--config", CONFIG],
        ["check-policy", "--config", CONFIG, "--json"],
        ["replay", "{sessions}", "--config", CONFIG],
        ["replay", "{sessions}", "--config", CONFIG, "--json", "-"],
        ["regret", "{sessions}", "--config", CONFIG],
    ],
)
def test_a_command_that_nobody_reads_ends_without_a_word(arguments: list[str], sessions: Path) -> None:
    assert unread(*(word.format(sessions=sessions) for word in arguments)) == (141, "")


@pytest.mark.parametrize(
    "arguments", [["no-such-command"], ["replay", "no-such-file", "--config", CONFIG], ["prices", "--config", "no.toml"]]
)
def test_so_does_one_whose_errors_nobody_reads(arguments: list[str]) -> None:
    assert unread(*arguments, together=True)[0] == 141


def test_what_was_to_be_written_is_there_all_the_same(sessions: Path, tmp_path: Path) -> None:
    page, rows, out = (tmp_path / name for name in ("page.html", "rows.jsonl", "experience.json"))
    assert unread("regret", sessions, "--config", CONFIG, "--html", page, "--json", rows)[0] == 141
    assert "</html>" in page.read_text(encoding="utf-8")
    assert json.loads(rows.read_text(encoding="utf-8").splitlines()[-1])["kind"] == "report"
    assert unread("learn", sessions, "--config", CONFIG, "--out", out)[0] == 141
    assert json.loads(out.read_text(encoding="utf-8"))


def test_a_reader_who_has_seen_enough_gets_whole_rows(sessions: Path) -> None:
    with subprocess.Popen(
        command("replay", sessions, "--config", CONFIG, "--json", "-"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment()
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert json.loads(process.stdout.readline())["session_id"] == "s0"
        process.stdout.close()
        errors = process.stderr.read().decode()
    # It may have written all before.
    assert process.returncode in {0, 141}
    assert "Traceback" not in errors
    assert "Errno" not in errors


@pytest.mark.parametrize(
    "module",
    ["session_router.cli.process", "session_router.cli.command", "session_router.errors", "typing", "session_router.cli.app", "rich"],
)
def test_an_interrupt_while_modules_are_loaded(module: str) -> None:
    assert interrupted(INTERRUPTING.format(module=module), "--version") == (130, "", "")


@pytest.mark.parametrize("module", ["session_router.config", "session_router.core.pricing"])
def test_an_interrupt_while_a_command_loads_what_it_needs(module: str) -> None:
    code, _, errors = interrupted(INTERRUPTING.format(module=module), "prices", "--config", CONFIG)
    assert code == 130
    assert "Traceback" not in errors


def test_nobody_sees_to_an_interrupt_while_hardly_anything_is_loaded() -> None:
    program = "import sys; known = set(sys.modules); import session_router.cli; print(*sorted(set(sys.modules) - known))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environment())
    assert done.stdout.split() == ["__future__", "session_router", "session_router.cli"]


def test_an_interrupt_when_all_is_done() -> None:
    code, output, errors = interrupted(AT_THE_END, "--version")
    assert (code, errors) == (130, "")
    assert output.startswith("session-router ")


def test_whoever_has_interrupts_ignored_is_not_interrupted() -> None:
    ignored = f"import signal; signal.signal(signal.SIGINT, signal.SIG_IGN); {AT_THE_END}"
    code, output, errors = interrupted(ignored, "--version")
    assert (code, errors) == (0, "")
    assert output.startswith("session-router ")


@pytest.mark.parametrize("place", ["/dev/full", None])
def test_rows_that_wait_to_be_printed_find_a_full_disk_or_nobody(tmp_path: Path, place: str | None) -> None:
    with AuditFile(tmp_path / "audit.jsonl") as log:
        log.append({"decision": "keep"})
    if place is None:
        assert unread("audit", "export", log.path) == (141, "")
        return
    if not Path(place).exists():
        pytest.skip("this system has no disk that is always full")
    with Path(place).open("w", encoding="utf-8") as full:
        done = subprocess.run(
            command("audit", "export", log.path), stdout=full, stderr=subprocess.PIPE, text=True, check=False, env=environment(), timeout=60
        )
    assert (done.returncode, done.stderr) == (2, "error: `--json` is '-'; it cannot be written on (No space left on device).\n")
