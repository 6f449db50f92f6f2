"""Connections of redis-py with one deadline for all that a call does: resolving excepted, connecting, sending and receiving."""

from __future__ import annotations

import asyncio
import math
import selectors
import socket
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from redis.asyncio.connection import Connection as AsyncConnection
from redis.asyncio.connection import SSLConnection as AsyncSSLConnection
from redis.connection import Connection, SSLConnection

if TYPE_CHECKING:
    from session_router.stores.redis_servers import Address, Credentials, RedisServers


LATE_SECONDS = 0.02
"""After which an event loop that says that the time is up was not there when it was."""


class DeadlineSocket:
    """A socket that waits until a certain time, however many pieces an answer comes in.

    Args:
        socket: The socket.
        owner: Its connection, which has the `deadline`, in seconds of the monotonic clock.
    """

    def __init__(self, socket: Any, owner: Any) -> None:  # noqa: ANN401 -- plain or TLS; either kind of connection
        self._socket = socket
        self._owner = owner

    def settimeout(self, seconds: float | None) -> None:
        """Ignore what redis-py thinks: the deadline counts."""

    def recv(self, size: int) -> bytes:
        """Receive some bytes."""
        self._set_time_left()
        received: bytes = self._socket.recv(size)
        return received

    def recv_into(self, buffer: Any, *sizes: int) -> int:  # noqa: ANN401 -- any buffer
        """Receive some bytes into `buffer`."""
        self._set_time_left()
        count: int = self._socket.recv_into(buffer, *sizes)
        return count

    def sendall(self, data: Any) -> None:  # noqa: ANN401 -- any buffer
        """Send all of `data`."""
        self._set_time_left()
        self._socket.sendall(data)

    def shutdown(self, how: int) -> None:
        """End the connection."""
        self._socket.shutdown(how)

    def close(self) -> None:
        """Close it."""
        self._socket.close()

    def _set_time_left(self) -> None:
        self._socket.settimeout(time_left(self._owner.deadline))


def time_left(deadline: float) -> float:
    """Return the seconds until `deadline`.

    Raises:
        TimeoutError: There are none.
    """
    left = deadline - time.monotonic()
    if left <= 0:
        msg = "the budget is spent"
        raise TimeoutError(msg)
    return left


class _TimeLeft:
    """What is left of a connection's time, whatever redis-py sets it to."""

    def __get__(self, connection: Any, kind: type | None = None) -> float:  # noqa: ANN401 -- either kind of connection
        return time_left(connection.deadline)

    def __set__(self, connection: Any, seconds: float | None) -> None: ...  # noqa: ANN401 -- likewise


def _with_deadline(kind: Any) -> Any:  # noqa: ANN401 -- redis-py states few types here
    class DeadlineConnection(kind):  # type: ignore[misc] # which base is known when it runs
        deadline: float = math.inf

        # Asked for each address of the host, and then for a TLS handshake: each has what those before left.
        socket_timeout = socket_connect_timeout = _TimeLeft()

        def _connect(self) -> DeadlineSocket:
            connected: Any = super()._connect()  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType] -- of that base
            return DeadlineSocket(connected, self)

    return DeadlineConnection


def _without_goodbye(kind: Any) -> Any:  # noqa: ANN401 -- likewise
    class AbruptConnection(kind):  # type: ignore[misc] # as above
        """Closes at once, from wherever, whatever is still to be sent.

        redis-py says goodbye: what was not sent, and TLS, wait for the other end then, and an event loop that ends meanwhile leaves
        the connection open.
        """

        def abort(self) -> None:
            writer: Any = self._writer  # type: ignore[has-type] # of the base, which no checker knows
            if writer is None:
                return
            self._reader = self._writer = None
            self._parser.on_disconnect()
            try:
                writer.transport.abort()
            except RuntimeError:
                # A loop that is closed can close nothing: the server is told, and the rest goes with the last reference.
                with suppress(OSError):
                    writer.get_extra_info("socket").shutdown(socket.SHUT_RDWR)

        async def was_unheard(self, *, late_seconds: float) -> bool:
            """Say whether the server has answered, or may have, while nobody listened: the event loop was busy.

            Args:
                late_seconds: How long after its time was up the call was told so.
            """
            reader: Any = self._reader
            writer: Any = self._writer
            if reader is None or writer is None:
                # Whether it was connected, nobody knows.
                return late_seconds > LATE_SECONDS
            with selectors.DefaultSelector() as selector:
                selector.register(writer.get_extra_info("socket"), selectors.EVENT_READ)
                if selector.select(0):
                    return True
            with suppress(TimeoutError, OSError):
                # What has come this far is there at once.
                async with asyncio.timeout(0):
                    return bool(await reader.read(1))
            return False

        async def disconnect(self, *_: object, **__: object) -> None:
            self.abort()

        def _close(self) -> None:
            self.abort()

    return AbruptConnection


DeadlineConnection, DeadlineSSLConnection = _with_deadline(Connection), _with_deadline(SSLConnection)
AbruptConnection = _without_goodbye(AsyncConnection)


class AbruptSSLConnection(_without_goodbye(AsyncSSLConnection)):  # type: ignore[misc] # as above
    """Connects first and encrypts then: whoever gives up in between has something to close.

    asyncio's own way, all at once, leaves a connection open that is given up before its handshake has begun.
    """

    async def _connect(self) -> None:
        arguments: dict[str, Any] = self._connection_arguments()
        context: Any = arguments.pop("ssl")
        self._reader, self._writer = await asyncio.open_connection(**arguments)
        await self._writer.start_tls(context, server_hostname=self.host)


def connection_to(address: Address, servers: RedisServers) -> Any:  # noqa: ANN401 -- redis-py states no types here
    """Return a connection that is made when it is first used."""
    kind: Any = DeadlineSSLConnection if servers.tls else DeadlineConnection
    return kind(**_arguments(address, servers))


def async_connection_to(address: Address, servers: RedisServers) -> Any:  # noqa: ANN401 -- as above
    """Return the same for an event loop. It has no deadline of its own: whoever awaits it has; `abort` closes it."""
    kind: Any = AbruptSSLConnection if servers.tls else AbruptConnection
    return kind(**_arguments(address, servers), socket_timeout=None, socket_connect_timeout=None)


def _arguments(address: Address, servers: RedisServers) -> dict[str, Any]:
    is_sentinel = servers.master is not None and address in servers.nodes
    who: Credentials = servers.sentinel_credentials if is_sentinel else servers.credentials
    return {
        "host": address.host,
        "port": address.port,
        "db": 0 if is_sentinel else servers.database,
        "username": who.username,
        "password": who.password,
        # The older protocol needs no greeting, and the client no introduction: each would be a round trip more.
        "protocol": 2,
        "driver_info": None,
    }
