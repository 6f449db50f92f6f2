"""Writes into the documentation what it really prints, and draws the lock machine anew.

    PYTHONPATH=tests python tools/refresh_docs.py [PAGE ...]

Look at the difference before you commit it: a page must still say the truth about its output, and output that was shortened
with `...` comes out whole.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from draw_locks import PAGE, redrawn
from support.pages import commands_of, pages, run_page


def refreshed(page: Path) -> str:
    """Return the text of `page` with every output that differs replaced."""
    text = page.read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as directory:
        shown = run_page(page, Path(directory))
    wrong = {one.block.start for one in shown if not one.true}
    for block in reversed(list({one.block.start: one.block for one in shown if one.block.start in wrong}.values())):
        outputs = [one.shown if one.true else one.really for one in shown if one.block.start == block.start]
        tidy = ["".join(line.rstrip() + "\n" for line in output.strip("\n").splitlines()) for output in outputs]
        if block.language == "console":
            commands = [command for command, _ in commands_of(block)]
            code = "\n".join(f"$ {command}\n{output}" for command, output in zip(commands, tidy, strict=True))
        else:
            code = tidy[0]
        text = text[: block.start] + code.rstrip("\n") + "\n" + text[block.start + len(block.code) :]
    return text


if __name__ == "__main__":
    PAGE.write_text(redrawn(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    for path in [Path(name).resolve() for name in sys.argv[1:]] or pages():
        path.write_text(refreshed(path), encoding="utf-8")
