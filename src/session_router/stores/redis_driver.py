"""Performs exchanges: from threads, each connection used by one at a time, and from event loops, each with connections of its own."""

from __future__ import annotations

import asyncio
import os
import threading
import time
import weakref
from typing import TYPE_CHECKING, Any, TypeVar, cast

from redis.exceptions import ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from session_router.errors import StoreUnavailable
from session_router.stores.redis_calls import Lost
from session_router.stores.redis_sockets import async_connection_to, connection_to, time_left

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator

    from session_router.stores.redis_calls import Exchange
    from session_router.stores.redis_servers import Address, RedisServers

MAXIMUM_CONNECTIONS = 64
"""Of one event loop; more calls at once wait for one another, within their budgets."""

Result = TypeVar("Result")

_NO_TIME = Lost(TimeoutError("the budget is spent"), is_ours=True)


class ThreadDriver:
    """Connections for threads.

    Args:
        servers: How they are reached.
        budget_seconds: What one conversation may take.
    """

    def __init__(self, servers: RedisServers, *, budget_seconds: float) -> None:
        self._servers = servers
        self._budget = budget_seconds
        self._idle: dict[Address, list[Any]] = {}
        self._guard = threading.Lock()
        self._closed = False

    def drive(self, conversation: Generator[Exchange, list[Any] | Lost, Result]) -> Result:
        """Hold a conversation."""
        deadline = time.monotonic() + self._budget
        try:
            exchange = next(conversation)
            while True:
                exchange = conversation.send(self._perform(exchange, deadline))
        except StopIteration as stop:
            return cast("Result", stop.value)
        finally:
            # Whatever it was given up for, it is told now, and not when somebody finds that nobody has it any more.
            conversation.close()

    def close(self) -> None:
        """Close every connection; those in use are closed when they come back."""
        with self._guard:
            self._closed = True
            idle, self._idle = self._idle, {}
        for connections in idle.values():
            _disconnect(connections)

    def _perform(self, exchange: Exchange, deadline: float) -> list[Any] | Lost:
        if time.monotonic() >= deadline:
            return _NO_TIME
        if exchange.reconnect:
            self._forget(exchange.address)
        connection, was_idle = self._take(exchange.address)
        try:
            connection.deadline = deadline
            packed = (
                connection.pack_command(*exchange.commands[0])
                if len(exchange.commands) == 1
                else connection.pack_commands(exchange.commands)
            )
            connection.send_packed_command(packed, check_health=False)
            replies = [_reply(connection) for _ in exchange.commands]
        except Exception as error:  # noqa: BLE001 -- whatever damaged bytes make of the parser is a lost answer
            connection.disconnect()
            timed_out = isinstance(error, RedisTimeoutError | TimeoutError)
            if was_idle and not timed_out:
                # Its server went away, and the others that are idle lead there too.
                self._forget(exchange.address)
            return Lost(_plain(error), was_idle=was_idle and not timed_out)
        except BaseException:
            connection.disconnect()
            raise
        self._give_back(exchange.address, connection)
        return replies

    def _take(self, address: Address) -> tuple[Any, bool]:
        with self._guard:
            if self._closed:
                raise StoreUnavailable(_CLOSED)
            idle = self._idle.get(address)
            if idle:
                return idle.pop(), True
        return connection_to(address, self._servers), False

    def _give_back(self, address: Address, connection: Any) -> None:  # noqa: ANN401 -- redis-py states no types here
        with self._guard:
            if not self._closed:
                self._idle.setdefault(address, []).append(connection)
                return
        connection.disconnect()

    def _forget(self, address: Address) -> None:
        with self._guard:
            connections = self._idle.pop(address, [])
        _disconnect(connections)


class LoopDriver:
    """Connections for event loops; each loop has its own, which are closed when it shuts down.

    Args:
        servers: How they are reached.
        budget_seconds: What one conversation may take.
    """

    def __init__(self, servers: RedisServers, *, budget_seconds: float) -> None:
        self._servers = servers
        self._budget = budget_seconds
        self._loops: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _OneLoop] = weakref.WeakKeyDictionary()
        self._closed = False

    async def drive(self, conversation: Generator[Exchange, list[Any] | Lost, Result]) -> Result:
        """Hold a conversation."""
        if self._closed:
            raise StoreUnavailable(_CLOSED)
        deadline = time.monotonic() + self._budget
        here = await self._here()
        try:
            exchange = next(conversation)
            while True:
                exchange = conversation.send(await here.perform(exchange, deadline))
        except StopIteration as stop:
            return cast("Result", stop.value)
        finally:
            conversation.close()

    async def aclose(self) -> None:
        """Close the connections of the running loop."""
        here = self._loops.pop(asyncio.get_running_loop(), None)
        if here is not None:
            here.close()

    def close(self) -> None:
        """Refuse what comes; each loop closes its connections when it shuts down."""
        self._closed = True

    async def _here(self) -> _OneLoop:
        loop = asyncio.get_running_loop()
        here = self._loops.get(loop)
        if here is None:
            self._drop_closed()
            here = self._loops[loop] = _OneLoop(self._servers, budget_seconds=self._budget)
            await here.open()
        return here

    def _drop_closed(self) -> None:
        """Close what loops left that were closed without a word: their connections keep them alive, and they keep those."""
        for loop in [one for one in list(self._loops) if one.is_closed()]:
            if (left := self._loops.pop(loop, None)) is not None:
                left.close()


class _OneLoop:
    """Connections for the tasks of one event loop."""

    def __init__(self, servers: RedisServers, *, budget_seconds: float) -> None:
        self._servers = servers
        self._budget = budget_seconds
        self._idle: dict[Address, list[Any]] = {}
        self._turns = asyncio.Semaphore(MAXIMUM_CONNECTIONS)
        self._ended = False
        self._process = os.getpid()
        self._until_shutdown = _stay(weakref.ref(self))

    async def open(self) -> None:
        # A loop has no other hook for its end: it closes the asynchronous generators that were begun on it.
        await anext(self._until_shutdown)

    def close(self) -> None:
        # What else the loop closes as it ends may still call: nobody keeps the connections of these.
        self._ended = True
        if self._process != os.getpid():
            # A child's parent goes on with them, and what watches over them is the parent's too.
            return
        for address in list(self._idle):
            self._forget(address)

    def __del__(self) -> None:
        # A store that nobody has any more leaves no connection behind, though its loop goes on.
        self.close()

    async def perform(self, exchange: Exchange, deadline: float) -> list[Any] | Lost:
        if time.monotonic() >= deadline:
            return _NO_TIME
        if exchange.reconnect:
            self._forget(exchange.address)
        connection: Any = None
        was_idle, begun = False, time.monotonic()
        try:
            async with asyncio.timeout(time_left(deadline)), self._turns:
                begun = time.monotonic()
                # Whoever waited for a turn finds what the one before left.
                idle = self._idle.get(exchange.address)
                was_idle = bool(idle)
                connection = idle.pop() if idle else async_connection_to(exchange.address, self._servers)
                if not was_idle:
                    await connection.connect()
                await connection.send_packed_command(connection.pack_commands(exchange.commands), check_health=False)
                replies = [await _areply(connection) for _ in exchange.commands]
        except Exception as error:  # noqa: BLE001 -- as for threads
            timed_out, late = isinstance(error, RedisTimeoutError | TimeoutError), time.monotonic() - deadline
            # Whoever had little time left when it came to the server cannot say much of it.
            waited_long = deadline - begun < self._budget / 2
            try:
                is_ours = timed_out and (connection is None or waited_long or await connection.was_unheard(late_seconds=late))
            finally:
                if connection is not None:
                    connection.abort()
            if was_idle and not timed_out:
                self._forget(exchange.address)
            return Lost(_plain(error), was_idle=was_idle and not timed_out, is_ours=is_ours)
        except BaseException:
            if connection is not None:
                connection.abort()
            raise
        if self._ended:
            connection.abort()
        else:
            self._idle.setdefault(exchange.address, []).append(connection)
        return replies

    def _forget(self, address: Address) -> None:
        for connection in self._idle.pop(address, []):
            connection.abort()


async def _stay(connections: weakref.ref[_OneLoop]) -> AsyncGenerator[None, None]:
    """Close `connections` when the loop ends that this was begun on."""
    try:
        yield
    finally:
        if (here := connections()) is not None:
            here.close()


_CLOSED = "the session store is closed; make a new one."


def _disconnect(connections: list[Any]) -> None:
    for connection in connections:
        connection.disconnect()


def _reply(connection: Any) -> Any:  # noqa: ANN401 -- as above
    try:
        return connection.read_response()
    except ResponseError as error:
        return error


async def _areply(connection: Any) -> Any:  # noqa: ANN401 -- as above
    try:
        # Whoever gives up looks whether the answer was there, and closes it then.
        return await connection.read_response(disconnect_on_error=False)
    except ResponseError as error:
        return error


def _plain(error: Exception) -> Exception:
    """Return redis-py's timeout, which is no kind of Python's, as one."""
    return TimeoutError(str(error)) if isinstance(error, RedisTimeoutError) else error
