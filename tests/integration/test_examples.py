"""Every example runs, offline, with public names only, and shows what it says that it shows."""

from __future__ import annotations

import ast
import importlib
import runpy
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"

SHOWN = {
    "quickstart.py": ["fast: keep, first_call", "fast: keep, locked", "strong: switch, work_function", "strong: keep, locked"],
    "router_node.py": ["route\nask_fast\ntools\nroute\nask_fast\n", "route\nask_strong\n", "'current': 'strong', 'turn': 2, 'switches': 1"],
    "chat_model.py": ["fast answers: Paris.", "strong streams: Copy the rows first", "pinned to sim-strong"],
    "react_agent.py": ["fast: keep, first_call\nfast: keep, locked\nstrong: switch, work_function"],
    "watch_only.py": ["answered by strong, router: fast (first_call), would have asked another", "router: strong (locked), agrees"],
}
"""What each example must print."""


def test_every_example_is_listed_here() -> None:
    assert {path.name for path in EXAMPLES.glob("*.py")} == set(SHOWN)


@pytest.mark.parametrize("name", sorted(SHOWN))
def test_the_example_shows_what_it_says(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(str(EXAMPLES / name), run_name="__main__")
    printed = capsys.readouterr().out
    for expected in SHOWN[name]:
        assert expected in printed


@pytest.mark.parametrize("name", sorted(SHOWN))
def test_the_example_imports_public_names_only(name: str) -> None:
    tree = ast.parse((EXAMPLES / name).read_text(encoding="utf-8"))
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.Import)]
    assert not [alias.name for node in imports for alias in node.names if alias.name.startswith("session_router")]
    ours = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("session_router")]
    assert ours
    for node in ours:
        public = importlib.import_module(str(node.module)).__all__
        assert {alias.name for alias in node.names} <= set(public), node.module
