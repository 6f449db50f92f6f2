"""Which log a command is about, and with which key it was sealed."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

if TYPE_CHECKING:
    from session_router.audit.file import AuditFile
    from session_router.audit.reader import AuditReader

KEY_FILE = "--key-file"

Log: TypeAlias = Annotated[Path | None, typer.Argument(help="The log; else `audit.path` of the configuration.")]
Head: TypeAlias = Annotated[Path | None, typer.Option(help="The log's signed head; else `audit.head` of the configuration, or `LOG.head`.")]
KeyFile: TypeAlias = Annotated[
    Path | None, typer.Option(KEY_FILE, help="A file with the log's key, in hex; else the configuration's key, or `LOG.key`.")
]
Configuration: TypeAlias = Annotated[
    Path | None,
    typer.Option(help="Configuration that names the log and its key (.toml, .yaml).", envvar="SESSION_ROUTER_CONFIG", show_envvar=True),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A log that is there.

    Attributes:
        path: The log.
        head: Its head.
        key: What it was sealed with.
        key_file: Where that was read; `None` when the configuration states it.
    """

    path: Path
    head: Path
    key: bytes
    key_file: Path | None = None

    def reader(self) -> AuditReader:
        """Read it, and leave it as it is."""
        from session_router.audit.reader import AuditReader

        return AuditReader(self.path, key=self.key, head=self.head)

    def writer(self) -> AuditFile:
        """Open it."""
        from session_router.audit.file import AuditFile

        return AuditFile(self.path, key=self.key, head=self.head)


def place_of(log: Path | None, *, head: Path | None, key_file: Path | None, config: Path | None) -> Place:
    """Find the log.

    Raises:
        ConfigurationError: Nobody names it, it is not there, or its key is not.
    """
    from session_router.config import PATH_VARIABLE, load_key, load_settings
    from session_router.config.files import beside
    from session_router.errors import ConfigurationError
    from session_router.identity import key_from_text

    source = config or (Path(os.environ[PATH_VARIABLE]) if os.environ.get(PATH_VARIABLE) else None)
    if log is None:
        section = None if source is None else load_settings(source).audit
        if section is None or section.path is None:
            raise ConfigurationError(key="audit.path", value=None, rule="name the log, or a configuration that does.")
        log = beside(str(source), section.path)
        head = beside(str(source), section.head) if head is None and section.head is not None else head
    try:
        there, directory = log.is_file(), log.is_dir()
    except OSError as error:
        raise ConfigurationError(key="LOG", value=str(log), rule=f"it cannot be opened ({error.strerror or error}).") from None
    if not there:
        rule = "it is a directory; give the log itself, the file of JSON lines in it." if directory else "there is no such file."
        raise ConfigurationError(key="LOG", value=str(log), rule=rule)
    key = None if key_file is not None else load_key(source)
    if key is None:
        from session_router.audit.file import KEY_SUFFIX

        key_file = key_file or log.with_name(f"{log.name}{KEY_SUFFIX}")
        try:
            key = key_from_text(key_file.read_text(encoding="ascii"), source=str(key_file))
        except (OSError, UnicodeDecodeError) as error:
            rule = f"it cannot be read ({error}); name the file with the log's key, or the configuration that has it."
            raise ConfigurationError(key=KEY_FILE, value=str(key_file), rule=rule) from None
    return Place(path=log, head=head or log.with_name(f"{log.name}.head"), key=key, key_file=key_file)
