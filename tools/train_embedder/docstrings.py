"""Pairs from the standard library of the running interpreter: what a function is called, and what it does."""

from __future__ import annotations

import ast
import sysconfig
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator

Pair: TypeAlias = "tuple[str, str]"

_LEFT_OUT = {"test", "tests", "idle_test", "site-packages", "dist-packages", "__pycache__", "lib2to3", "turtledemo"}
_SHORTEST = 3  # words: "Return x." says nothing


def standard_library() -> Path:
    """Return the folder of the running interpreter's standard library."""
    return Path(sysconfig.get_paths()["stdlib"])


def docstring_pairs(folder: Path) -> list[Pair]:
    """Return (name with its parameters, first paragraph of its docstring), in the order of paths and lines; nothing is imported."""
    pairs: dict[Pair, None] = {}
    for path in sorted(folder.rglob("*.py"), key=lambda path: path.relative_to(folder).as_posix()):
        parts = path.relative_to(folder).with_suffix("").parts
        if _LEFT_OUT.intersection(parts):
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # old modules hold odd escapes
            try:
                tree = ast.parse(path.read_bytes())
            except SyntaxError:  # samples of other grammars
                continue
        pairs |= dict.fromkeys(_pairs_of(tree, tuple(part for part in parts if part != "__init__")))
    return list(pairs)


def _pairs_of(node: ast.AST, names: tuple[str, ...]) -> Iterator[Pair]:
    if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        written = ast.get_docstring(node)
        paragraph = " ".join(written.split("\n\n", 1)[0].split()) if written else ""
        if len(paragraph.split()) >= _SHORTEST:
            # The nearest two names: all of a path says where a thing lies, not what it is.
            yield " ".join((".".join(names[-2:]), *_parameters(node))), paragraph
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _pairs_of(child, (*names, child.name))


def _parameters(node: ast.AST) -> list[str]:
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return []
    given = [one.arg for one in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)]
    return [name for name in given if name not in {"self", "cls"}]
