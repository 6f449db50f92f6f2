"""Where the recorded sessions lie: beside the repository, never in it."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def shared_data(name: str) -> Path:
    """Return the path of a file of `../shared/data`.

    Raises:
        FileNotFoundError: It is not there. A test that needs it fails; it never passes by skipping.
    """
    path = ROOT.parent / "shared" / "data" / name
    if not path.is_file():
        msg = f"{path} is missing; this test replays recorded sessions and cannot do without them."
        raise FileNotFoundError(msg)
    return path
