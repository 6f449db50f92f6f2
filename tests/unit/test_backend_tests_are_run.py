"""`make backends` names a folder, since collecting all tests takes longer than running these: none of them may be elsewhere."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MARK = "mark." + "backend"


def outside(folder: Path) -> list[Path]:
    marked = [path for path in (ROOT / "tests").rglob("*.py") if MARK in path.read_text(encoding="utf-8")]
    return [path for path in marked if not path.is_relative_to(folder)]


def test_make_looks_where_they_are() -> None:
    (folder,) = re.findall(r"-m backend (\S+)$", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert outside(ROOT / folder) == []
    assert outside(ROOT / "tests" / "unit") != []
