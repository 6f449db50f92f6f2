"""`session-router audit`."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING, Any

import pytest

from session_router import AuditFile
from session_router.identity import subject_id
from support.pages import run_command

if TYPE_CHECKING:
    from pathlib import Path

CONFIG = """
[audit]
path = "audit.jsonl"
[models.fast]
model = "openai:small"
prices = {input = 0.25, output = 2}
"""
KEY = "0123456789abcdef" * 4
SESSION = "5e" * 32
OF_A_DIRECTORY = [["verify", "."], ["show", "."], ["head", "."], ["export", "."], ["erase", ".", "--subject", "a"]]


class At:
    def __init__(self) -> None:
        self.time = 1_700_000_000.0

    def now(self) -> float:
        self.time += 3_600
        return self.time


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("SESSION_ROUTER_CONFIG", raising=False)
    monkeypatch.delenv("SESSION_ROUTER_KEY", raising=False)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "router.toml").write_text(CONFIG, encoding="utf-8")
    path = tmp_path / "audit.jsonl"
    with AuditFile(path, clock=At()) as log:
        ann = subject_id(log.key, "ann@example.org", tenant="acme")
        for number in range(4):
            log.append(
                {
                    "decision": "keep" if number else "switch",
                    "decision_id": f"d{number}",
                    "model": "strong[bold]",
                    "previous": "fast",
                    "session": SESSION,
                    "reason": "locked",
                    "subjects": [ann] if number % 2 else [],
                    "evidence": {"tag": "data labelled confidential, pii"},
                    "exposure": {"endpoint": "eu", "until": 4e9},
                }
            )
    return path


def command(*words: object) -> tuple[int, str]:
    return run_command(shlex.join(["session-router", "audit", *map(str, words)]))


def rows(output: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in output.splitlines() if line.startswith("{")]


def test_a_sound_log_is_sound_by_any_way_to_name_it(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {file.name: file.read_bytes() for file in path.parent.iterdir()}
    for words in (["audit.jsonl"], ["--config", "router.toml"], ["audit.jsonl", "--key-file", "audit.jsonl.key"]):
        code, output = command("verify", *words)
        assert code == 0, output
        assert "4 records, 0 erased, 0 notes" in output
        assert "Every line is as it was written, and none is missing." in output
    monkeypatch.setenv("SESSION_ROUTER_CONFIG", "router.toml")
    assert command("verify")[0] == 0
    assert {file.name: file.read_bytes() for file in path.parent.iterdir()} == before


def test_tampering_is_told(path: Path) -> None:
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([lines[0].replace(b"strong", b"weaker"), *lines[2:], b"half"]))
    code, output = command("verify", "audit.jsonl")
    assert code == 1
    assert "line 1, altered: it is not as it was written" in output
    assert "missing: numbers 2 to 2 are not there" in output
    assert "4 bytes behind the last line" in output
    code, output = command("verify", "audit.jsonl", "--json")
    assert code == 1
    (row,) = rows(output)
    assert (row["sound"], row["torn"], [one["fault"] for one in row["problems"]]) == (False, 4, ["altered", "missing"])
    for name in ("show", "export"):
        code, output = command(name, "audit.jsonl")
        assert code == 1
        assert "the log is not as it was written" in output


def test_a_copy_of_the_head_shows_a_rollback(path: Path, tmp_path: Path) -> None:
    old = {name: (tmp_path / name).read_bytes() for name in ("audit.jsonl", "audit.jsonl.head")}
    with AuditFile(path) as log:
        log.append({})
    code, head = command("head", "audit.jsonl")
    assert code == 0
    (tmp_path / "copy").write_text(head, encoding="ascii")
    for name, content in old.items():
        (tmp_path / name).write_bytes(content)
    assert command("verify", "audit.jsonl")[0] == 0
    code, output = command("verify", "audit.jsonl", "--copy", "copy")
    assert code == 1
    assert "cut: the head counts 5 lines, and the log ends with number 4" in output


def test_records_are_shown_and_chosen(path: Path) -> None:
    code, output = command("show", path)
    assert code == 0
    assert output.count("fast -> strong[bold]") == 4
    assert "confidential, pii" in output
    assert "2023-11-14" in output
    assert [row["decision_id"] for row in rows(command("export", path)[1])] == ["d0", "d1", "d2", "d3"]
    assert command("show", path, "--decision", "d1")[1].count("locked") == 1
    assert command("show", path, "--last", 2)[1].count("locked") == 2
    assert command("show", path, "--subject", SESSION)[1].count("locked") == 4
    assert "there are no such records" in command("show", path, "--subject", "nobody")[1]
    written = [row["written_at"] for row in rows(command("export", path)[1])]
    assert sorted(written) == written
    later = rows(command("export", path, "--since", "2023-11-15T02:00:00")[1])
    earlier = rows(command("export", path, "--until", "2023-11-15T02:00:00")[1])
    assert len(later) + len(earlier) == 4
    assert later
    assert earlier


def test_rows_go_into_a_file_and_never_over_the_log(path: Path, tmp_path: Path) -> None:
    assert command("export", path, "--json", "rows.jsonl") == (0, "")
    exported = rows((tmp_path / "rows.jsonl").read_text(encoding="utf-8"))
    assert [row["sequence"] for row in exported] == [1, 2, 3, 4]
    before = {file: file.read_bytes() for file in tmp_path.iterdir()}
    assert path.with_name("audit.jsonl.key") in before
    for name, what in {
        "./audit.jsonl": "the file of the log",
        "audit.jsonl.head": "the log's head",
        "audit.jsonl.key": "the log's key",
        "router.toml": "the configuration",
    }.items():
        code, output = command("export", path, "--json", name, "--config", "router.toml")
        assert code == 2
        assert f"it is {what}; name another file." in " ".join(output.split())
        assert {file: file.read_bytes() for file in tmp_path.iterdir()} == before


def test_names_too_long_for_a_file_are_wrong_use(path: Path) -> None:
    name = "x" * 300
    for arguments in (("show", name), ("verify", path, "--head", name), ("export", path, "--json", name)):
        code, output = command(*arguments)
        assert code == 2
        assert "File name too long" in output
        assert len(output.splitlines()) == 1


@pytest.mark.parametrize("option", ["--subject", "--name"])
def test_nobody_is_no_person_to_erase(path: Path, option: str) -> None:
    before = path.read_bytes()
    code, output = command("erase", path, option, "")
    assert (code, option in output, "nobody is named" in output) == (2, True, True)
    assert path.read_bytes() == before


def test_moments_of_another_time_zone(path: Path) -> None:
    """Nine hours later there."""
    utc, zoned = (rows(command("export", path, "--since", since)[1]) for since in ("2023-11-15T02:00:00", "2023-11-15T11:00:00+0900"))
    assert utc == zoned != []
    assert utc != rows(command("export", path, "--since", "2023-11-15T02:00:00+0900")[1])
    utc, zoned = (rows(command("export", path, "--until", until)[1]) for until in ("2023-11-15T02:00:00", "2023-11-14T17:00:00-0900"))
    assert utc == zoned != []


def test_a_copy_of_a_head_that_is_not_there(path: Path, tmp_path: Path) -> None:
    code, output = command("verify", path, "--copy", tmp_path / "nowhere")
    assert (code, "is not there, or is empty" in output) == (2, True), output


def test_a_person_is_erased_by_name(path: Path) -> None:
    code, output = command("erase", path, "--name", "ann@example.org", "--tenant", "acme", "--why", "asked")
    assert code == 0
    assert "What led back to this subject is erased from 2 records." in output
    assert "strong[bold] at eu may still hold what 2 calls sent, until 2096-10-02 07:06:40." in output
    assert "The log still verifies." in output
    code, output = command("show", path)
    assert (output.count("(erased)"), output.count("the log: erased")) == (2, 1)
    exported = rows(command("export", path)[1])
    assert [row.get("decision_id") for row in exported] == ["d0", None, "d2", None]
    assert [row.get("erased") for row in exported] == [None, True, None, True]
    assert "4 records, 2 erased, 1 note." in command("verify", path)[1]
    code, output = command("erase", path, "--subject", SESSION)
    assert "erased from 2 records" in output


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["verify"], "name the log, or a configuration that does"),
        (["verify", "nowhere.jsonl"], "there is no such file"),
        *((words, "it is a directory; give the log itself, the file of JSON lines in it") for words in OF_A_DIRECTORY),
        (["verify", "audit.jsonl", "--key-file", "nowhere"], "it cannot be read"),
        (["verify", "audit.jsonl", "--copy", "router.toml"], "holds no head that this key signed"),
        (["erase", "audit.jsonl"], "give either a subject or a name"),
        (["erase", "audit.jsonl", "--subject", "a", "--name", "b"], "give either a subject or a name"),
    ],
)
def test_wrong_use_is_told(path: Path, words: list[str], told: str) -> None:
    before = path.read_bytes()
    code, output = command(*words)
    assert code == 2
    assert told in output
    assert path.read_bytes() == before


def test_another_key_is_told_and_changes_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SESSION_ROUTER_KEY", KEY)
    code, output = command("verify", path)
    assert code == 1
    assert "No line fits this key" in output
    before = path.read_bytes()
    code, output = command("erase", path, "--subject", "x")
    assert (code, path.read_bytes()) == (2, before)
    assert "no head that this key signed" in output
