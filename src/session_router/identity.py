"""Who a session is: an HMAC, derived on our side, of names that never leave the process."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import os
import re
import secrets
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING

from session_router.core.governance import Level
from session_router.core.label_row import tag_to_plain
from session_router.core.session import SessionId
from session_router.core.value import maker, value
from session_router.errors import ConfigurationError

if TYPE_CHECKING:
    from session_router.core.governance import Tag
    from session_router.core.transcript import Transcript

KEY_BYTES = 32
MINIMUM_KEY_BYTES = 16
_TASK = re.compile(r":[^|]*")

_named: ContextVar[tuple[SessionId, str] | None] = ContextVar("session_router.named", default=None)


@value
class SessionNames:
    """The names that identify a session.

    Attributes:
        tenant: Whose deployment; `None` when there is one.
        principal: Which user or service, as the server authenticated it.
        thread: LangGraph's `thread_id`, or the application's conversation id.
        namespace: Checkpoint namespace; task ids are removed.
        agent: Which agent.
    """

    tenant: str | None = None
    principal: str | None = None
    thread: str | None = None
    namespace: str = ""
    agent: str | None = None


new_session_names = maker(SessionNames)


def normalised_namespace(namespace: str) -> str:
    """Remove LangGraph's task ids: `tools:1ef0|inner:77` -> `tools|inner`."""
    return _TASK.sub("", namespace)


def session_id(key: bytes, names: SessionNames, transcript: Transcript) -> SessionId | None:
    """Derive the id of a session.

    Without a thread the stable head of the transcript stands in for it, if the principal is known: two users
    who begin with the same words must not share a session.

    Returns:
        64 hex digits, or `None` when the caller cannot be told from others.
    """
    thread = "thread:" + names.thread if names.thread is not None else None
    if thread is None:
        if names.principal is None or transcript.opening is None:
            return None
        thread = "head:" + transcript.opening.digest.hex()
    fields = (names.tenant, names.principal, thread, normalised_namespace(names.namespace), names.agent)
    # A length before each field, and a mark for absent ones, so that no two tuples of names read alike.
    encoded = b"".join(_field(value) for value in fields)
    return SessionId(hmac.new(key, encoded, hashlib.sha256).hexdigest())


def graph_id(key: bytes, names: SessionNames, path: str, *, run: str | None = None) -> SessionId | None:
    """Derive the id under which a store keeps what was read in one graph of a thread, or of a run without one.

    Args:
        key: The router's.
        names: Of any session in it.
        path: The graph's checkpoint namespace, with its task ids.
        run: Stands for the run where there is no thread.

    Returns:
        64 hex digits, or `None` when neither is known.
    """
    whose = f"thread:{names.thread}" if names.thread is not None else None if run is None else f"run:{run}"
    if whose is None:
        return None
    encoded = b"graph" + b"".join(_field(value) for value in (names.tenant, names.principal, whose, path))
    return SessionId(hmac.new(key, encoded, hashlib.sha256).hexdigest())


def name_thread(session: SessionId | None, names: SessionNames) -> None:
    """Let observers of the call that is made in this context know what the application calls its session."""
    _named.set(None if session is None or names.thread is None else (session, names.thread))


def thread_of(session: SessionId | None) -> str | None:
    """Return what the application calls `session`, as far as it was said in this context: for observers, and part of no decision."""
    named = _named.get()
    return None if named is None or named[0] != session else named[1]


def population_id(key: bytes) -> SessionId:
    """Derive the id under which a store keeps what all its sessions have in common. No names lead to it."""
    return SessionId(hmac.new(key, b"population", hashlib.sha256).hexdigest())


def principal_id(key: bytes, names: SessionNames) -> SessionId | None:
    """Derive the id under which a store keeps what is known of a principal over all sessions; `None` when nobody is named."""
    if names.principal is None:
        return None
    encoded = b"principal" + _field(names.tenant) + _field(names.principal)
    return SessionId(hmac.new(key, encoded, hashlib.sha256).hexdigest())


def request_id(key: bytes, digest: bytes, settings: bytes) -> str:
    """Derive what tells a request from others: 32 hex digits, of which nobody can guess anything.

    Args:
        key: The router's.
        digest: Of the request's prefix, always as long.
        settings: What else it says.
    """
    return hmac.new(key, b"request" + digest + settings, hashlib.sha256).hexdigest()[:32]


def answer_id(key: bytes, request: str, said: bytes) -> str:
    """Derive what an answer bears of the request that it answers, and of what it says itself: 32 hex digits, as `request_id`."""
    return hmac.new(key, b"answer" + request.encode("ascii") + said, hashlib.sha256).hexdigest()[:32]


def subject_id(key: bytes, name: str, *, tenant: str | None = None) -> str:
    """Derive what stands for a person in `Tag.subjects` and in audit records: 64 hex digits, from which no name can be read.

    Args:
        key: The audit log's, so that its command line can find the person by name; with `SESSION_ROUTER_KEY` it is the router's too.
        name: By which the application knows the person, always the same.
        tenant: Whose deployment; `None` when there is one.
    """
    return hmac.new(key, b"subject" + _field(tenant) + _field(name), hashlib.sha256).hexdigest()


def prompt_cache_salt(key: bytes, tag: Tag, *, tenant: str | None = None, session: str | None = None) -> str:
    """Derive what partitions a provider's prompt cache (`cache_salt`, `prompt_cache_key`), so that nobody meets another's prefix.

    Affinity, not isolation: the provider still holds what it was sent, for as long as it says.

    Args:
        key: The router's.
        tag: The join over the payload. Whom it is about and until when do not count: they would change the salt within a session.
        tenant: Whose deployment; `None` when there is one.
        session: Counts from `Level.CONFIDENTIAL` on: such prompts are shared with no other session. `None` is then a salt of its own.

    Returns:
        32 hex digits, from which nothing can be read.
    """
    plain = {name: value for name, value in tag_to_plain(tag).items() if name not in {"subjects", "expires_at"}}
    private = tag.level >= Level.CONFIDENTIAL
    fields = (tenant, json.dumps(plain, sort_keys=True), (session or secrets.token_hex(KEY_BYTES)) if private else None)
    encoded = b"prompt cache" + b"".join(_field(value) for value in fields)
    return hmac.new(key, encoded, hashlib.sha256).hexdigest()[:32]


def _field(value: str | None) -> bytes:
    if value is None:
        return b"-"
    raw = value.encode("utf-8", "surrogatepass")
    return b"+%d:" % len(raw) + raw


def new_key() -> bytes:
    """Return a fresh random key of `KEY_BYTES` bytes."""
    return secrets.token_bytes(KEY_BYTES)


def checked_key(key: bytes) -> bytes:
    """Return `key` if it is bytes, and long enough.

    Raises:
        ConfigurationError: It is not.
    """
    if not isinstance(key, bytes) or len(key) < MINIMUM_KEY_BYTES:  # pyright: ignore[reportUnnecessaryIsInstance] -- callers are not all typed
        rule = f"give {MINIMUM_KEY_BYTES} bytes or more, such as `secrets.token_bytes({KEY_BYTES})`."
        raise ConfigurationError(key="key", value="(hidden)", rule=rule)
    return key


def key_from_text(text: str, *, source: str) -> bytes:
    """Read a key given as at least 32 hex digits.

    Raises:
        ConfigurationError: It is not.
    """
    try:
        key = bytes.fromhex(text.strip())
    except ValueError:
        key = b""
    if len(key) < MINIMUM_KEY_BYTES:
        raise ConfigurationError(
            key="key", value="(hidden)", rule=f"give at least {KEY_BYTES} hex digits, such as `openssl rand -hex 32`.", source=source
        )
    return key


def key_from_file(path: Path) -> bytes:
    """Read the key beside a database, or make one that only the owner can read.

    Of processes that make it at the same time, one wins and all read its key.

    Raises:
        ConfigurationError: The file cannot be made or read, or holds something else.
    """
    try:
        if not path.exists():
            _make_key_file(path)
        return key_from_text(path.read_text(encoding="ascii"), source=str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            key="key",
            value=str(path),
            rule=f"the key file must be readable and writable by this user ({error}); or give `key`.",
            source=None,
        ) from error


def _make_key_file(path: Path) -> None:
    """Put a new key at `path`, unless somebody else was first."""
    import tempfile

    # Written elsewhere and linked into place, so that nobody ever reads half a key.
    descriptor, draft = tempfile.mkstemp(prefix=path.name, dir=path.parent)  # with mode 0600
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(new_key().hex() + "\n")
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)
    finally:
        Path(draft).unlink()
