"""A session at rest: plain types, packed and sealed, so that a row that was altered is never believed."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from typing import TYPE_CHECKING

from session_router.core.session_row import session_from_plain, session_to_plain
from session_router.errors import StoreCorrupt
from session_router.identity import checked_key
from session_router.stores.packing import JSON

if TYPE_CHECKING:
    from session_router.core.session import Session, SessionId
    from session_router.stores.packing import Packing

_PURPOSE = b"session_router.stores.rows"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What a store keeps of a session.

    Attributes:
        payload: `session_to_plain`, packed.
        seal: HMAC-SHA256 over the session's id and `payload`; 32 bytes.
    """

    payload: bytes
    seal: bytes


class RowCodec:
    """Sessions to rows and back.

    Args:
        key: 16 bytes or more. Seals use a key derived from it, so that the same key may serve identities.
        packing: How the plain form of a session is written.

    Raises:
        ConfigurationError: The key is too short.
    """

    def __init__(self, key: bytes, *, packing: Packing = JSON) -> None:
        # Set up once: that takes longer than to seal a row.
        self._sealing = hmac.new(hmac.digest(checked_key(key), _PURPOSE, hashlib.sha256), digestmod=hashlib.sha256)
        self._packing = packing

    def encode(self, session: Session) -> Row:
        """Return `session` as a sealed row."""
        payload = self._packing.packed(session_to_plain(session))
        return Row(payload=payload, seal=self._seal(session.id, payload))

    def decode(self, session: SessionId, row: Row) -> Session:
        """Read the row that was found under the id `session`.

        Raises:
            StoreCorrupt: The seal does not fit, or the payload is not a session of a known schema.
        """
        if not hmac.compare_digest(self._seal(session, row.payload), row.seal):
            msg = f"row of session `{session[:12]}...` fails its HMAC: altered, or written with another key; it is treated as lost."
            raise StoreCorrupt(msg)
        try:
            plain = self._packing.unpacked(row.payload)
        except (ValueError, TypeError, RecursionError) as error:
            msg = f"row of session `{session[:12]}...` is not {self._packing.name} ({error}); it is treated as lost."
            raise StoreCorrupt(msg) from error
        read = session_from_plain(plain)
        if read.id != session:
            msg = f"row of session `{session[:12]}...` holds session `{read.id[:12]}...`; it is treated as lost."
            raise StoreCorrupt(msg)
        return read

    def _seal(self, session: SessionId, payload: bytes) -> bytes:
        name = session.encode("utf-8", "surrogatepass")
        sealing = self._sealing.copy()
        # The length comes first, so that no byte can move between id and payload.
        sealing.update(b"%d:" % len(name) + name + payload)
        return sealing.digest()
