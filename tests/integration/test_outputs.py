"""What the commands write takes the place of nothing that they read, and of nothing else that they write."""

from __future__ import annotations

import errno
import json
import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from support.pages import run_command

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

OUTPUTS = [("learn", "--out"), ("replay", "--json"), ("regret", "--json"), ("regret", "--html")]
INPUTS = {
    "sessions.jsonl": "sessions",
    "router.toml": "configuration",
    "prices.json": "price_file",
    "experience.json": "policy.experience",
    "sessions.db": "store.path",
    "audit.jsonl": "audit.path",
    "audit.head": "audit.head",
    "cache.db": "cache.path",
}
"""Each file of `world`, and the word by which an error names it."""

CONFIG = """
price_file = "prices.json"
policy.experience = "experience.json"
store.path = "sessions.db"
audit.path = "audit.jsonl"
audit.head = "audit.head"
cache.path = "cache.db"
[models.fast]
model = "openai:small-1"
[models.strong]
model = "openai:wide-2"
"""
PRICES = {
    "small-1": {"litellm_provider": "openai", "input_cost_per_token": 3e-07, "output_cost_per_token": 2.4e-06},
    "wide-2": {"litellm_provider": "openai", "input_cost_per_token": 1.25e-06, "output_cost_per_token": 1e-05},
}
MESSAGES = [
    {"role": "user", "content": "Compare the trade-offs, and explain why."},
    {"role": "assistant", "content": "Well."},
    {"role": "user", "content": "thanks"},
    {"role": "assistant", "content": "You are welcome."},
]


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a directory with all `INPUTS` in `here`; the process works there."""
    for variable in [name for name in os.environ if name.startswith("SESSION_ROUTER")]:
        monkeypatch.delenv(variable)
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    (here / "sessions.jsonl").write_text(json.dumps({"session_id": "one", "messages": MESSAGES}) + "\n", encoding="utf-8")
    (here / "router.toml").write_text(CONFIG, encoding="utf-8")
    (here / "prices.json").write_text(json.dumps(PRICES), encoding="utf-8")
    for name in ("sessions.db", "cache.db"):
        (here / name).write_text("what a database holds", encoding="utf-8")
    for name in ("audit.jsonl", "audit.head"):
        (here / name).write_text("what a log holds", encoding="utf-8")
    code, output = command("learn", "--out", "experience.json")
    assert code == 0, output
    return tmp_path


def command(name: str, *options: object, sessions: str = "sessions.jsonl", config: str = "router.toml") -> tuple[int, str]:
    return run_command(shlex.join(["session-router", name, sessions, "--config", config, *map(str, options)]))


def contents(directory: Path) -> dict[str, bytes]:
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def hard_link(path: Path) -> str:
    (path.parent.parent / "hard").hardlink_to(path)
    return "../hard"


def link(path: Path) -> str:
    (path.parent.parent / "link").symlink_to(path)
    return "../link"


def link_to_the_directory(path: Path) -> str:
    (path.parent.parent / "there").symlink_to(path.parent, target_is_directory=True)
    return f"../there/{path.name}"


def relative(path: Path) -> str:
    return path.name


def roundabout(path: Path) -> str:
    return f"../{path.parent.name}/{path.name}"


SPELLINGS: list[Callable[[Path], str]] = [relative, str, roundabout, link, link_to_the_directory, hard_link]


@pytest.mark.parametrize(
    ("name", "option", "read"),
    # What `learn` learned before it does not read: it writes it anew.
    [(*output, read) for output in OUTPUTS for read in INPUTS if (output[0], read) != ("learn", "experience.json")],
)
def test_an_output_takes_the_place_of_no_input(world: Path, name: str, option: str, read: str) -> None:
    for spelling in SPELLINGS:
        path = spelling(world / "here" / read)
        before = contents(world)
        code, output = command(name, option, path)
        assert code == 2
        assert contents(world) == before
        assert f"`{option}` is {path!r}" in output
        assert INPUTS[read] in output
        assert "name another file" in output
        assert len(output.splitlines()) == 1
    before = contents(world)
    code, output = command(name, option, "free")
    assert code == 0, output
    after = contents(world)
    assert after.pop("here/free")
    assert after == before


@pytest.mark.parametrize("name", ["cache.db.key", "sessions.db.key", "sessions.db-wal", "audit.jsonl.key", "audit.jsonl.lock"])
def test_an_output_takes_the_place_of_nothing_that_a_named_file_needs(world: Path, name: str) -> None:
    (world / "here" / name).write_text("00" * 32, encoding="ascii")
    before = contents(world)
    code, output = command("replay", "--json", name)
    assert code == 2
    assert contents(world) == before
    assert "it is what belongs to" in output
    assert "name another file" in output


def test_inputs_that_variables_name_are_inputs(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (world / "here" / "prices.json").rename(world / "here" / "list.json")
    monkeypatch.setenv("SESSION_ROUTER__PRICE_FILE", "list.json")
    monkeypatch.chdir(world)
    monkeypatch.setenv("SESSION_ROUTER_CONFIG", "here/router.toml")
    before = contents(world)
    for path in ("here/list.json", "here/router.toml"):
        code, output = run_command(f"session-router replay here/sessions.jsonl --json {path}")
        assert code == 2
        assert "name another file" in output
        assert contents(world) == before
    # The list that the file names is none any more.
    assert run_command("session-router replay here/sessions.jsonl --json here/prices.json")[0] == 0
    assert contents(world).keys() - before.keys() == {"here/prices.json"}


@pytest.fixture
def pairs(world: Path) -> Iterator[tuple[str, str]]:
    """Return two spellings of one file each: not there yet, there, and behind a link that leads nowhere yet."""
    (world / "there").write_text("", encoding="utf-8")
    (world / "linked").hardlink_to(world / "there")
    (world / "dangling").symlink_to(world / "later")
    return iter([("same", "same"), ("same", "../here/same"), ("../there", "../linked"), ("../dangling", "../later")])


def test_two_outputs_are_two_files(world: Path, pairs: Iterator[tuple[str, str]]) -> None:
    before = contents(world)
    for html, rows in pairs:
        code, output = command("regret", "--html", html, "--json", rows)
        assert code == 2
        assert "--html" in output
        assert "--json" in output
        assert "name another file" in output
        assert contents(world) == before
    assert command("regret", "--html", "page", "--json", "rows")[0] == 0
    assert contents(world).keys() - before.keys() == {"here/page", "here/rows"}


def test_a_device_holds_nothing_that_could_be_overwritten(world: Path) -> None:
    assert command("regret", "--html", os.devnull, "--json", os.devnull)[0] == 0
    # Through a link, which would be replaced in the device's stead.
    (world / "nowhere").symlink_to(os.devnull)
    before = contents(world)
    assert command("learn", "--out", world / "nowhere")[0] == 0
    assert (world / "nowhere").is_symlink()
    assert contents(world) == before


def test_standard_output_is_no_file_of_its_name(world: Path) -> None:
    here = world / "here"
    (here / "-").write_bytes((here / "sessions.jsonl").read_bytes())
    before = contents(world)
    # Behind `--`, since it looks like an option.
    code, output = run_command("session-router replay --config router.toml --json - -- -")
    assert code == 0, output
    assert contents(world) == before


@pytest.mark.parametrize(("name", "option"), OUTPUTS)
@pytest.mark.parametrize("place", ["missing/file", "directory", "sessions.jsonl/file", "x" * 300])
def test_what_cannot_be_written_is_refused_before_a_session_is_read(world: Path, name: str, option: str, place: str) -> None:
    here = world / "here"
    (here / "directory").mkdir()
    (here / "broken.jsonl").write_text("{broken\n", encoding="utf-8")
    before = contents(world)
    code, output = command(name, option, place, sessions="broken.jsonl")
    assert code == 2
    assert f"`{option}` is {place!r}" in output
    assert "line 1" not in output
    assert contents(world) == before
    assert "line 1" in command(name, option, "free", sessions="broken.jsonl")[1]


@pytest.mark.parametrize(("name", "option"), OUTPUTS)
@pytest.mark.parametrize("place", ["shut/new", "shut.jsonl"])
def test_what_may_not_be_written_is_refused_before_a_session_is_read(
    world: Path, name: str, option: str, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = world / "here"
    (here / "shut").mkdir()
    (here / "shut.jsonl").write_text("of old\n", encoding="utf-8")
    (here / "broken.jsonl").write_text("{broken\n", encoding="utf-8")
    before = contents(world)
    # Whoever runs the tests may be root, to whom nothing is shut.
    monkeypatch.setattr(os, "access", lambda path, mode: not (mode & os.W_OK and Path(path).name.startswith("shut")))
    code, output = command(name, option, place, sessions="broken.jsonl")
    assert code == 2
    assert f"`{option}` is {place!r}; it cannot be written (Permission denied)." in " ".join(output.split())
    assert "line 1" not in output
    assert contents(world) == before


@pytest.mark.parametrize(("name", "option"), [*OUTPUTS, ("fit", "--out")])
def test_a_file_in_a_directory_that_may_not_be_written(world: Path, name: str, option: str, monkeypatch: pytest.MonkeyPatch) -> None:
    here = world / "here"
    (here / "shut").mkdir()
    (here / "shut" / "old").write_text("of old\n", encoding="utf-8")
    (here / "broken.jsonl").write_text("{broken\n", encoding="utf-8")
    before = contents(world)
    monkeypatch.setattr(os, "access", lambda path, mode: not (mode & os.W_OK and Path(path).name == "shut"))
    code, output = command(name, option, "shut/old", sessions="broken.jsonl")
    if option == "--json":
        # It is written into the file that is there.
        assert "line 1" in output
        return
    # It is put in the place of the file, whole.
    assert code == 2
    assert f"`{option}` is 'shut/old'; it cannot be written (Permission denied)." in " ".join(output.split())
    assert "line 1" not in output
    assert contents(world) == before


@pytest.mark.parametrize(("name", "option"), [("regret", "--html"), ("learn", "--out")])
def test_what_finds_the_disk_full_leaves_what_was_there(world: Path, name: str, option: str, monkeypatch: pytest.MonkeyPatch) -> None:
    old = world / "here" / "old"
    old.write_text("of old\n", encoding="utf-8")
    before = contents(world)

    opened = Path.open

    def full(path: Path, mode: str = "r", *rest: Any, **named: Any) -> Any:
        file = opened(path, mode, *rest, **named)
        if path.name.startswith("old") and mode != "r":
            file.write = fail
        return file

    def fail(_: str) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", full)
        code, output = command(name, option, "old")
    assert code == 2
    assert "it cannot be written (No space left on device)" in " ".join(output.split())
    assert contents(world) == before


def test_the_draft_of_an_experience_is_no_file_of_the_user(world: Path) -> None:
    here = world / "here"
    (here / "experience.json.part").write_bytes((here / "sessions.jsonl").read_bytes())
    before = contents(world)
    code, output = command("learn", "--out", "experience.json", sessions="experience.json.part")
    assert code == 0, output
    assert contents(world) == before
