"""Paths that users give."""

from __future__ import annotations

import os
from pathlib import Path

from session_router.errors import ConfigurationError


def checked_path(path: str | os.PathLike[str], *, key: str) -> Path:
    """Return the path of a file that exists or can be made.

    Args:
        path: As it was given; `~` is the user's home.
        key: Name of the setting.

    Raises:
        ConfigurationError: It is no path or names no file, or its directory is missing.
    """
    text = os.fspath(path) if isinstance(path, os.PathLike) else path
    if not isinstance(text, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConfigurationError(key=key, value=path, rule="give the path of a file, as text or as a `Path`.")
    checked = Path(text).expanduser()
    if not checked.parent.is_dir():
        raise ConfigurationError(key=key, value=text, rule=f"the directory `{checked.parent}` must exist; make it, or give another path.")
    if checked.is_dir() or not checked.name:
        raise ConfigurationError(key=key, value=text, rule="this is a directory; give the path of a file in it.")
    return checked
