"""Which files of recorded sessions a cache has counted as audits: the same evidence must not count twice."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from session_router.cache.rows import Note
from session_router.errors import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path

    from session_router.cache.semantic import SemanticCache


def count_file(sessions: Path, cache: SemanticCache) -> None:
    """Note that the sessions of a file count from now on.

    Raises:
        ConfigurationError: They were counted before, or the file cannot be read, or not twice.
    """
    try:
        with sessions.open("rb") as file:
            if not file.seekable():
                rule = "it can be read only once, as a pipe; whether it was counted before is found out by reading it. Name a file."
                raise ConfigurationError(key="sessions", value=str(sessions), rule=rule)
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        rule = f"it cannot be read ({error.strerror or error})."
        raise ConfigurationError(key="sessions", value=str(sessions), rule=rule) from None
    if not cache.rows.write_note(f"counted {digest}", Note(payload=b"{}", seal=bytes(32)), seal=None):
        rule = "its sessions were counted before, and evidence counts once; give sessions that the cache has not seen."
        raise ConfigurationError(key="sessions", value=str(sessions), rule=rule)
