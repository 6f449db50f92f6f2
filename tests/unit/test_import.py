"""Whoever imports the library waits for nothing that only some programs need."""

from __future__ import annotations

import subprocess
import sys

DEAR = (
    "asyncio",
    "concurrent.futures",
    "faiss",
    "langchain_core",
    "langgraph",
    "numpy",
    "opentelemetry",
    "ormsgpack",
    "pydantic",
    "redis",
    "sqlite3",
    "ssl",
    "tempfile",
)


def brought_in(statement: str) -> set[str]:
    """Return which of these are there after `statement`, and were not before."""
    program = f"import sys\nbefore = set(sys.modules)\n{statement}\nprint(*sorted(set({DEAR}) & (sys.modules.keys() - before)))"
    return set(subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split())


def test_the_router_brings_in_nothing_that_is_dear() -> None:
    assert brought_in("from session_router import Router") == set()


def test_threads_are_there_before_anybody_forks() -> None:
    log = "from session_router.recorder import Recorder\nRecorder(object(), dict)"
    rewriter = "type('R', (), {'version': '1', 'seconds': 1.0, 'rewrite': print, 'arewrite': print})()"
    assert "concurrent.futures" in brought_in(log)
    assert "concurrent.futures" in brought_in(f"from session_router.rewriting import Rewriting\nRewriting({rewriter})")


def test_what_needs_them_brings_them_in() -> None:
    assert brought_in("from session_router_langchain import SessionRouterMiddleware") >= {"asyncio", "langchain_core", "pydantic"}
    assert brought_in("from session_router import SQLiteSessionStore") >= {"sqlite3", "ormsgpack"}
