"""Plain values in a file that shows whether it is whole, and with a key, whether it is ours."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import TYPE_CHECKING, Any, Final, NoReturn, cast

from session_router.errors import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path

KEY: Final = "scorer.path"
SCHEMA: Final = "session-router scorer"
VERSION: Final = 3
"""Of the form. Raise it when a field changes its meaning, or the same numbers give other chances."""

_UNGUARDED: Final = 1  # knew no guard; read as a file that has none
_UNBLENDED: Final = 2  # knew no blend; read as it is

LARGEST_FILE: Final = 64 * 1024 * 1024
"""Bytes: nothing of the length that somebody else chose is read into memory."""

AGAIN: Final = "run `session-router fit` again."

_DOMAIN = b"session-router scorer file 1\n"  # so that no signature of something else made with the key fits


def sealed(content: dict[str, Any], *, key: bytes | None) -> str:
    """Return the text of a file that holds `content`; equal contents give equal texts.

    Args:
        content: Plain values; every number finite.
        key: Signs it; `None` for no signature.
    """
    body = _canonical(content)
    envelope = {
        "schema": SCHEMA,
        "version": VERSION,
        "sha256": hashlib.sha256(body).hexdigest(),
        "hmac_sha256": None if key is None else _signature(body, key),
        "content": content,
    }
    return json.dumps(envelope, allow_nan=False, sort_keys=True) + "\n"


def read_sealed(path: Path, *, key: bytes | None) -> dict[str, Any]:
    """Read a file back.

    Args:
        path: The file.
        key: The key that it must be signed with; `None` to be content with its digest.

    Raises:
        ConfigurationError: It cannot be read, is damaged, is of another version, or is not signed with `key`.
    """
    envelope = _parsed(path)
    if envelope.get("schema") != SCHEMA:
        refuse(path, "it is no scorer; name a file that `session-router fit` wrote.")
    if (version := envelope.get("version")) not in (_UNGUARDED, _UNBLENDED, VERSION):
        refuse(path, f"it is not of version {VERSION}, which this release reads; {AGAIN}")
    content, digest, signature = (envelope.get(name) for name in ("content", "sha256", "hmac_sha256"))
    if not isinstance(content, dict) or not isinstance(digest, str) or not isinstance(signature, str | None):
        refuse(path, f"it has not the shape of a scorer; {AGAIN}")
    body = _canonical(cast("dict[str, Any]", content))
    if not _equal(hashlib.sha256(body).hexdigest(), digest):
        refuse(path, f"its content does not match its digest: it was changed or damaged; {AGAIN}")
    if key is not None and signature is None:
        refuse(path, "it is not signed, and there is a key; sign it: `session-router fit ... --key-file FILE` with that key.")
    if key is not None and not _equal(_signature(body, key), signature or ""):
        refuse(path, "it was signed with another key, or was changed; use the key that it was signed with, or fit and sign it again.")
    plain = cast("dict[str, Any]", content)
    return {"guard": None, **plain} if version == _UNGUARDED else plain


def refuse(path: Path, rule: str) -> NoReturn:
    """Say what is wrong with a file.

    Raises:
        ConfigurationError: Always.
    """
    raise ConfigurationError(key=KEY, value=str(path), rule=rule)


def _parsed(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST_FILE + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else None
        refuse(path, f"it cannot be read ({reason or type(error).__name__}); name a file that `session-router fit` wrote.")
    if len(data) > LARGEST_FILE:
        refuse(path, f"it is larger than {LARGEST_FILE:,} bytes; name a file that `session-router fit` wrote.")
    try:
        envelope: object = json.loads(data.decode("utf-8"), parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        refuse(path, f"it is not JSON, or is cut off ({type(error).__name__}); {AGAIN}")
    if not isinstance(envelope, dict):
        refuse(path, "it is no scorer; name a file that `session-router fit` wrote.")
    return cast("dict[str, Any]", envelope)


def _no_constant(name: str) -> NoReturn:
    # NaN and the infinities are no JSON, and no numbers to decide by.
    raise ValueError(name)


def _canonical(content: dict[str, Any]) -> bytes:
    """One way to write `content`, whatever the order and the blanks it was read with."""
    return json.dumps(content, sort_keys=True, separators=(",", ":")).encode("ascii")


def _signature(body: bytes, key: bytes) -> str:
    return hmac.new(key, _DOMAIN + body, hashlib.sha256).hexdigest()


def _equal(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode("utf-8", "replace"), other.encode("utf-8", "replace"))
