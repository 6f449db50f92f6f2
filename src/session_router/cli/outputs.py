"""The files that a command writes: none is a file that it reads, and no two are the same."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from session_router.config import PATH_VARIABLE, load_settings
from session_router.config.files import beside
from session_router.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

_NOTHING: Mapping[str, Path | None] = MappingProxyType({})
_OF_A_DATABASE = (".key", "-wal", "-shm")
_BESIDE = {"store.path": _OF_A_DATABASE, "cache.path": _OF_A_DATABASE, "audit.path": (".key", ".head", ".lock")}
"""Files that stand beside one that the configuration names, by what their names end with: without them it cannot be read any more."""


def check_outputs(  # noqa: PLR0913 -- each is one fact of a command
    outputs: Mapping[str, Path | None],
    *,
    sessions: Path,
    what: str = "sessions",
    inputs: Mapping[str, Path | None] = _NOTHING,
    config: Path | None,
    whole: Collection[str] = (),
    experienced: bool = True,
    scored: bool = True,
    configured: bool = True,
) -> None:
    """Refuse, before anything is opened for writing, an output that would destroy an input or another output, or may not be written.

    Args:
        outputs: The files that will be written, by option; `None` for one that nobody asked for.
        sessions: The recorded sessions, or whatever the command reads instead.
        what: What it reads.
        inputs: What else it reads, by what an error calls it; `None` for what it does not.
        config: The configuration, as in `load_router`. What it names counts as an input too.
        whole: The options whose files `write_whole` puts there: in the place of what is there, for which the directory is written to.
        experienced: Whether its experience is an input.
        scored: Whether its scorer is an input.
        configured: Whether there has to be a configuration.

    Raises:
        ConfigurationError: An output is one of these files under any name, is in no directory, or may not be written; or the
            configuration is wrong.
    """
    if all(path is None for path in outputs.values()):
        return
    taken = [(sessions, f"the file of the {what}"), *((path, role) for role, path in inputs.items() if path is not None)]
    if configured or config is not None:
        taken += _configured(config, experienced=experienced, scored=scored)
    for option, path in outputs.items():
        if path is None:
            continue
        for other, role in taken:
            if _is_one_file(path, other):
                raise ConfigurationError(key=option, value=str(path), rule=f"it is {role}; name another file.")
        try:
            writable = path.parent.is_dir() and not path.is_dir()
        except OSError as error:
            raise unwritable(option, path, error) from None
        if not writable:
            raise ConfigurationError(key=option, value=str(path), rule="name a file in a directory that is there.")
        # Asked now: to be refused after the work would be to lose it.
        if not all(os.access(place, os.W_OK) for place in _written(path, whole=option in whole)):
            raise unwritable(option, path, PermissionError(errno.EACCES, os.strerror(errno.EACCES)))
        taken.append((path, f"the file of `{option}`"))


def unwritable(option: str, path: Path, error: OSError) -> ConfigurationError:
    """Return the error for an output that the system refuses."""
    return ConfigurationError(key=option, value=str(path), rule=f"it cannot be written ({error.strerror or error}).")


def write_whole(option: str, path: Path, text: str) -> None:
    """Put `text` at `path`, whole or not at all.

    Raises:
        ConfigurationError: The system refuses.
    """
    # A file of this name could be the user's: it is made, never overwritten.
    draft = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        if path.exists() and not path.is_file():
            path.write_text(text, encoding="utf-8")  # a device stays one
            return
        with draft.open("x", encoding="utf-8") as file:
            try:
                file.write(text)
                file.close()
                draft.replace(path)
            finally:
                draft.unlink(missing_ok=True)
    except OSError as error:
        raise unwritable(option, path, error) from None


def _written(path: Path, *, whole: bool) -> list[Path]:
    """Return the file, and the directory, that must be writable for something to be put at `path`."""
    if not path.exists():
        return [path.parent]
    return [path, path.parent] if whole and path.is_file() else [path]


def _configured(config: Path | None, *, experienced: bool, scored: bool) -> list[tuple[Path, str]]:
    settings = load_settings(config)
    source = Path(os.environ[PATH_VARIABLE]) if config is None else config
    named = {
        "price_file": settings.price_file,
        "policy.rules": settings.policy.rules,
        "policy.experience": settings.policy.experience if experienced else None,
        "scorer.path": settings.scorer.path if scored else None,
        # A replay does not touch the configured store: that holds for its outputs too.
        "store.path": settings.store.path,
        "cache.path": None if settings.cache is None else settings.cache.path,
        "audit.path": settings.audit.path,
        "audit.head": settings.audit.head,
    }
    files = [(source, "the configuration")]
    for key, name in named.items():
        if name is not None:
            path = beside(str(source), name)
            files.append((path, f"`{key}` of the configuration"))
            files += [(Path(f"{path}{ending}"), f"what belongs to `{key}` of the configuration") for ending in _BESIDE.get(key, ())]
    return files


def _is_one_file(one: Path, other: Path) -> bool:
    """Whether two paths lead to one file, which need not be there yet."""
    # A setting may hold what no path can, such as a null character.
    with suppress(ValueError):
        try:
            # Terminals and /dev/null hold nothing that could be overwritten.
            return one.samefile(other) and not one.is_char_device()
        except OSError:
            return os.path.realpath(one) == os.path.realpath(other)
    return False
