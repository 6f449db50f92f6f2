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
    checked = path_of(path, key=key)
    try:
        beside, directory = checked.parent.is_dir(), checked.is_dir()
    except OSError as error:
        rule = f"it cannot be looked up ({error.strerror or error}); give another path."
        raise ConfigurationError(key=key, value=os.fspath(path), rule=rule) from None
    if not beside:
        rule = f"the directory `{checked.parent}` must exist; make it, or give another path."
        raise ConfigurationError(key=key, value=os.fspath(path), rule=rule)
    if directory or not checked.name:
        raise ConfigurationError(key=key, value=os.fspath(path), rule="this is a directory; give the path of a file in it.")
    return checked


def path_of(path: str | os.PathLike[str], *, key: str) -> Path:
    """Return the path of a file, whether there is one or not.

    Args:
        path: As it was given; `~` is the user's home.
        key: Name of the setting.

    Raises:
        ConfigurationError: It is no path, or the home of a user whom nobody knows.
    """
    text = os.fspath(path) if isinstance(path, os.PathLike) else path
    if not isinstance(text, str):  # pyright: ignore[reportUnnecessaryIsInstance] -- callers are not all typed
        raise ConfigurationError(key=key, value=path, rule="give the path of a file, as text or as a `Path`.")
    if "\0" in text:
        raise ConfigurationError(key=key, value=text, rule="a path cannot hold a null character; give another one.")
    try:
        return Path(text).expanduser()
    except RuntimeError:
        rule = "this user has no home that is known; give the path without `~`."
        raise ConfigurationError(key=key, value=text, rule=rule) from None


def is_same_file(one: Path, other: Path) -> bool:
    """Whether two paths, of files that may not be there yet, lead to one file; not where that cannot be looked up."""
    try:
        return one.resolve() == other.resolve() or one.samefile(other)
    except (OSError, ValueError, RuntimeError):  # as releases of Python say it of no file, a null character, a link to itself
        return False
