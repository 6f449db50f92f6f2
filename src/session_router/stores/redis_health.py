"""The models' health in Redis: one hash, read and replaced in one round trip each, on the server's own clock."""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from typing import TYPE_CHECKING, Any, Final

from session_router.core.health import SCHEMA, Health, HealthRead, StoredHealth
from session_router.errors import StoreUnavailable
from session_router.identity import checked_key

if TYPE_CHECKING:
    from session_router.stores.redis_calls import Conversation
    from session_router.stores.redis_link import RedisLink

_PURPOSE: Final = b"session_router.stores.redis_health"
_FORMAT: Final = b"sh1:"
FENCE_BYTES, SEAL_BYTES = 8, 32
HEAD_BYTES = len(_FORMAT) + FENCE_BYTES
LARGEST_ROW = 64 * 1024
MOST_MODELS = 1_000

READ: Final = """
local time = redis.call('TIME')
local kind = redis.call('TYPE', KEYS[1])['ok']
if kind ~= 'hash' then return {time[1], time[2]} end
local rows = redis.call('HGETALL', KEYS[1])
return {time[1], time[2], unpack(rows, 1, math.min(#rows, tonumber(ARGV[1])))}
"""
"""Returns the server's time, in seconds and microseconds, and then names and rows."""

REPLACE: Final = """
local name, expected, row, milliseconds = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local kind = redis.call('TYPE', KEYS[1])['ok']
if kind ~= 'hash' and kind ~= 'none' then redis.call('DEL', KEYS[1]) end
local stored = redis.call('HGET', KEYS[1], name) or ''
if string.sub(stored, 1, #expected) ~= expected or (expected == '' and stored ~= '') then return 0 end
if row == '' then
    redis.call('HDEL', KEYS[1], name)
    return 1
end
redis.call('HSET', KEYS[1], name, row)
if redis.call('PTTL', KEYS[1]) < milliseconds then redis.call('PEXPIRE', KEYS[1], milliseconds) end
return 1
"""
"""Puts a row in the place of the one that begins as expected, nothing for nothing; an empty row removes."""


class RedisHealth:
    """What replicas tell one another of the models' health.

    Times in a row are the server's: the clocks of replicas need not agree. Rows are sealed; what fails its seal counts as not there,
    and the next one replaces it.

    Args:
        key: As for `RedisRows`.
        prefix: What the key in Redis begins with.
        link: Talks to the servers.
    """

    def __init__(self, key: bytes, *, prefix: str, link: RedisLink) -> None:
        self._seal_key = hmac.digest(checked_key(key), _PURPOSE, hashlib.sha256)
        self._link = link
        # Deployments that share a server by their keys alone share nothing else.
        whose = hmac.digest(self._seal_key, b"key", hashlib.sha256).hex()[:16]
        self._key = f"{prefix}:health{SCHEMA}:{{{whose}}}".encode("utf-8", "surrogatepass")

    def read(self, now: float) -> HealthRead:
        """Return what is known, on the clock that says `now` (POSIX seconds).

        Raises:
            StoreUnavailable: No server answered in time, or none is asked for a moment.
        """
        return self._understood(self._link.threads.drive(self._reading()), now)

    async def aread(self, now: float) -> HealthRead:
        """Do what `read` does without blocking the event loop."""
        return self._understood(await self._link.loops.drive(self._reading()), now)

    def replace(self, read: HealthRead, model: str, health: Health, *, seconds: float) -> bool:
        """Store `health` if the row of `model` is still the one in `read`; `False` means that another replica was first.

        Raises:
            StoreUnavailable: It is not known whether it was stored.
        """
        return bool(self._link.threads.drive(self._replacing(read, model, health, seconds)) == 1)

    async def areplace(self, read: HealthRead, model: str, health: Health, *, seconds: float) -> bool:
        """Do what `replace` does without blocking the event loop."""
        return bool(await self._link.loops.drive(self._replacing(read, model, health, seconds)) == 1)

    def _reading(self) -> Conversation:
        return self._link.calls.run(READ, [self._key], [2 * MOST_MODELS])

    def _replacing(self, read: HealthRead, model: str, health: Health, seconds: float) -> Conversation:
        stored = read.rows.get(model)
        row = b"" if health.is_known_good else self._encoded(model, health.shifted(read.ahead))
        expected = b"" if stored is None else stored.head
        return self._link.calls.run(REPLACE, [self._key], [_field(model), expected, row, round(seconds * 1000)])

    def _encoded(self, model: str, health: Health) -> bytes:
        payload = json.dumps(health.to_plain(), separators=(",", ":"), allow_nan=False).encode("ascii")
        return _FORMAT + secrets.token_bytes(FENCE_BYTES) + self._seal(model, payload) + payload

    def _understood(self, reply: Any, now: float) -> HealthRead:  # noqa: ANN401 -- whatever a server may answer
        try:
            seconds, microseconds, *rows = reply
            server = int(seconds) + int(microseconds) / 1e6
            pairs = list(zip(rows[::2], rows[1::2], strict=True))
        except (TypeError, ValueError) as error:
            msg = "a Redis server answered with what a script of ours never answers; what was seen here counts."
            raise StoreUnavailable(msg) from error
        read: dict[str, StoredHealth] = {}
        for field, row in pairs:
            name = field.decode("utf-8", "surrogateescape")
            read[name] = StoredHealth(health=self._decoded(name, row).shifted(now - server), head=row[:HEAD_BYTES])
        return HealthRead(ahead=server - now, rows=read)

    def _decoded(self, model: str, row: bytes) -> Health:
        seal, payload = row[HEAD_BYTES : HEAD_BYTES + SEAL_BYTES], row[HEAD_BYTES + SEAL_BYTES :]
        if len(row) > LARGEST_ROW or not hmac.compare_digest(self._seal(model, payload), seal):
            return Health()
        try:
            return Health.from_plain(json.loads(payload))
        except (ValueError, RecursionError):
            return Health()

    def _seal(self, model: str, payload: bytes) -> bytes:
        name = _field(model)
        # The length comes first, so that no byte can move between name and payload.
        return hmac.digest(self._seal_key, b"%d:" % len(name) + name + payload, hashlib.sha256)


def _field(model: str) -> bytes:
    return model.encode("utf-8", "surrogateescape")
