"""The documentation, run: every block of code on a page, in order, against simulated providers.

- `python` blocks of a page share one namespace and are executed.
- A `text` block titled `Output` is what the python block before it prints.
- Each `$` line of a `console` block is a command; what stands below it is its output, and `...` alone in a line stands
  for any lines.
- `toml` and `yaml` blocks are configurations. One without models gets those of `examples/router.toml`. Blocks with a
  title, `jsonl` blocks included, are put under that name into the directory in which the page runs.
- A comment `<!-- not run: reason -->` above a block leaves it out.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import sys
import tomllib
import types
import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from unittest import mock

import yaml

from session_router import load_router
from session_router.cli.command import main
from session_router.testing.providers import Prices, Reply, SchemaBehaviour, ScriptedBehaviour, SimulatedModel, ToolCall, serve

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

ROOT: Final = Path(__file__).resolve().parents[2]
OUTPUT: Final = "Output"
WIDTH: Final = 100

_FENCE: Final = re.compile(r"^```([\w-]*)(?: title=\"([^\"]+)\")?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_NOT_RUN: Final = re.compile(r"<!-- not run: (.+?) -->\s*\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One fenced block; `line` is that of its first line of code, from 1, and `start` its place in the page's text."""

    page: Path
    language: str
    title: str
    code: str
    line: int
    start: int
    not_run: str = ""

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What a page shows as output, and what there really was."""

    block: Block
    shown: str
    really: str

    @property
    def true(self) -> bool:
        return matches(self.shown, self.really)


def pages() -> list[Path]:
    """Return every page: the README, and all of `docs`."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks_of(page: Path) -> list[Block]:
    """Return the fenced blocks of `page`, in order."""
    text = page.read_text(encoding="utf-8")
    found: list[Block] = []
    for fence in _FENCE.finditer(text):
        comment = _NOT_RUN.search(text, 0, fence.start())
        found.append(
            Block(
                page=page,
                language=fence[1],
                title=fence[2] or "",
                code=fence[3],
                line=text.count("\n", 0, fence.start(3)) + 1,
                start=fence.start(3),
                not_run=comment[1] if comment else "",
            )
        )
    return found


def matches(shown: str, really: str) -> bool:
    """Whether `really` is what is `shown`, up to trailing blanks; a line `...` stands for any lines."""
    pattern = "".join(
        r"(?:.*\n)*?" if line.strip() == "..." else re.escape(line) + "\n" for line in map(str.rstrip, shown.rstrip().splitlines())
    )
    return re.fullmatch(pattern, "".join(line.rstrip() + "\n" for line in really.rstrip().splitlines())) is not None


@contextmanager
def simulated_world(directory: Path) -> Iterator[None]:
    """Work in `directory`, with keys and addresses of simulated providers in the environment."""
    models = [
        SimulatedModel(id="gpt-5-mini", provider="openai", prices=Prices(input=0.25, cached_input=0.025, output=2.0), behaviour=BEHAVIOUR),
        SimulatedModel(id="claude-sonnet-4-6", provider="anthropic", behaviour=BEHAVIOUR),
    ]
    (directory / "examples").mkdir()
    for example in (ROOT / "examples").iterdir():
        if example.is_file():
            (directory / "examples" / example.name).write_bytes(example.read_bytes())
    with serve(models) as providers:
        own = {name: value for name, value in os.environ.items() if not name.startswith(("SESSION_ROUTER", "OPENAI", "ANTHROPIC"))}
        own |= {
            "OPENAI_API_KEY": "key-openai",
            "OPENAI_BASE_URL": providers.openai_base_url,
            "ANTHROPIC_API_KEY": "key-anthropic",
            "ANTHROPIC_BASE_URL": providers.anthropic_base_url,
            "COLUMNS": str(WIDTH),
            "TERM": "dumb",
        }
        with mock.patch.dict(os.environ, own, clear=True), contextlib.chdir(directory):
            yield


def run_page(page: Path, directory: Path) -> list[Shown]:
    """Run every block of `page` in `directory`.

    Returns:
        What the page shows as output, beside what there was.
    """
    shown: list[Shown] = []
    module = types.ModuleType(f"page_{page.stem.replace('-', '_')}")
    printed = io.StringIO()
    with simulated_world(directory), _importable(module), warnings.catch_warnings():
        # The page says so itself.
        warnings.filterwarnings("ignore", message="create_react_agent has been moved")
        for block in blocks_of(page):
            if block.not_run:
                continue
            if block.title and block.title != OUTPUT:
                Path(block.title).write_text(block.code, encoding="utf-8")
            if block.language == "python":
                printed = io.StringIO()
                # Empty lines before it, so that a traceback shows the line of the page.
                code = compile("\n" * (block.line - 1) + block.code, str(page), "exec")
                with contextlib.redirect_stdout(printed):
                    exec(code, module.__dict__)  # noqa: S102 -- our own documentation
            elif block.language == "text" and block.title == OUTPUT:
                shown.append(Shown(block=block, shown=block.code, really=printed.getvalue()))
            elif block.language in {"toml", "yaml"}:
                load_configuration(block)
            elif block.language == "console":
                shown.extend(run_console(block))
    return shown


@contextmanager
def _importable(module: types.ModuleType) -> Iterator[None]:
    # Annotations of classes are looked up in the module that they name.
    sys.modules[module.__name__] = module
    try:
        yield
    finally:
        del sys.modules[module.__name__]


def load_configuration(block: Block) -> None:
    """Load a block as the router would."""
    table: dict[str, Any] = tomllib.loads(block.code) if block.language == "toml" else yaml.safe_load(block.code)
    example = Path("examples", f"router.{block.language}").read_text(encoding="utf-8")
    whole = Path(f"block-{block.line}.{block.language}")
    if "models" in table:
        whole.write_text(block.code, encoding="utf-8")
    elif block.language == "toml":
        whole.write_text(block.code + "\n" + example[example.index("[models.fast]") : example.index("[store]")], encoding="utf-8")
    else:
        models = {name: value for name, value in yaml.safe_load(example).items() if name in {"models", "prices"}}
        whole.write_text(yaml.safe_dump({**models, **table}), encoding="utf-8")
    # Replicas share a key, which is in no file.
    shared = {"SESSION_ROUTER_KEY": "5e" * 32} if {"url", "sentinel", "cluster"} & {*table.get("store", {})} else {}
    load_router(whole, environment={**os.environ, **shared})


def run_console(block: Block) -> list[Shown]:
    """Run every command of a block."""
    shown: list[Shown] = []
    code = 0
    for command, output in commands_of(block):
        if command == "echo $?":
            really = f"{code}\n"
        else:
            code, really = run_command(command)
        shown.append(Shown(block=block, shown=output, really=really))
    return shown


def commands_of(block: Block) -> list[tuple[str, str]]:
    """Return each command of a block with the output below it; a command may go on after a backslash."""
    joined = block.code.replace("\\\n", " ")
    parts = re.split(r"^\$ ", joined, flags=re.MULTILINE)
    assert not parts[0].strip(), f"{block}: a console block begins with a command"
    return [(command, output) for command, _, output in (part.partition("\n") for part in parts[1:])]


def run_command(command: str) -> tuple[int, str]:
    """Run `session-router`, or what `make` runs; return its exit code, and what it writes to both of its streams."""
    words = shlex.split(command)
    if words[0] == "make":
        words = shlex.split(_recipe(words[1]))
    assert words[0] == "session-router", f"the documentation runs `session-router` and nothing else, not {command!r}"
    written = io.StringIO()
    with (
        contextlib.redirect_stdout(written),
        contextlib.redirect_stderr(written),
        mock.patch.object(sys, "argv", words),
        # Under `python -m pytest` the usage line would say so.
        mock.patch.object(sys.modules["__main__"], "__package__", None, create=True),
    ):
        try:
            main()
        except SystemExit as stop:
            return int(stop.code or 0), written.getvalue()
    return 0, written.getvalue()


def _recipe(target: str) -> str:
    """Return what `make` runs for `target`, without the path of the environment it makes."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    found = re.search(rf"^{target}:.*\n\t@?\$\(BIN\)/(.*)$", makefile, re.MULTILINE)
    assert found, f"the Makefile has no target {target!r} that runs one command"
    return found[1]


def _asks(name: str, **arguments: Any) -> Reply:
    return Reply(tool_calls=(ToolCall(name=name, arguments=arguments),))


SCRIPT: Final[Mapping[str, Sequence[Reply | str]]] = {
    "Where is order A-1042": (_asks("read_order", order="A-1042"), "Order A-1042 left the warehouse on Monday and arrives on Wednesday."),
    "Compare the trade-offs": (
        _asks("read_order", order="A-1042"),
        _asks("read_terms", topic="delay"),
        "Wait: it arrives tomorrow, and a replacement would take a week. The terms refund the postage either way.",
    ),
    "opening hours": ("From 8:00 to 18:00 on working days.",),
    "Refund the postage": (_asks("refund", order="A-1042", euros=4.9), "The postage of 4.90 EUR is on its way."),
}
"""What the simulated models say, by a part of the user's text."""

BEHAVIOUR: Final = ScriptedBehaviour(SCRIPT, fallback=SchemaBehaviour())
