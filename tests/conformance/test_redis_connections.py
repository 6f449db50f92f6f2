"""No connection is left open: wherever a call is given up, and however soon its event loop ends."""

from __future__ import annotations

import asyncio
import gc
import warnings
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import pytest

from session_router.stores.redis import RedisSessionStore
from session_router.testing.sessions import fresh_session_id, full_session
from support.redis_servers import HOST, Server, encrypted, standalone

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Coroutine, Generator, Iterator
    from pathlib import Path

pytestmark = pytest.mark.xdist_group("redis-standalone")
KEY = b"k" * 32
PATIENT_SECONDS = 10.0
LARGE = b"x" * 20_000_000
"""More than the buffers of any socket take: a server that does not read leaves the rest of it waiting here."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with standalone(tmp_path_factory.mktemp("redis"), user="me on >hush ~* +@all") as one:
        yield one


@pytest.fixture
def store(server: Server) -> Iterator[RedisSessionStore]:
    # A password and a database: the greeting has awaits of its own.
    with RedisSessionStore(f"redis://me:hush@{HOST}:{server.port}/2", key=KEY, budget_seconds=PATIENT_SECONDS) as one:
        yield one


@pytest.fixture
def secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RedisSessionStore]:
    with encrypted(tmp_path) as (url, certificate):
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        with RedisSessionStore(url, key=KEY, budget_seconds=PATIENT_SECONDS) as one:
            yield one


@contextmanager
def nothing_left_open() -> Iterator[None]:
    """Fail if the collector finds what nobody closed. What others left before is not ours."""
    gc.collect()
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        yield
        gc.collect()
    assert [str(one.message) for one in found] == []


class Steps:
    """Awaits `inner`, and does something when it suspends for the `at`-th time."""

    def __init__(self, inner: Coroutine[Any, Any, Any], at: int, then: Callable[[], object]) -> None:
        self.suspended = 0
        self._inner, self._at, self._then = inner, at, then

    def __await__(self) -> Generator[Any, Any, Any]:
        steps, sent = self._inner.__await__(), None
        while True:
            try:
                waited = steps.send(sent)
            except StopIteration as stop:
                return stop.value
            self.suspended += 1
            if self.suspended == self._at:
                self._then()
            try:
                sent = yield waited
            except BaseException as error:  # noqa: BLE001 -- a cancellation too
                # As `yield from` would: the inner one hears of it where it waits.
                waited = steps.throw(error)
                sent = yield waited


async def load_and_commit(store: RedisSessionStore) -> None:
    session = full_session(fresh_session_id())
    await store.acommit(session)
    assert await store.aload(session.id) == session


async def interrupted(store: RedisSessionStore, at: int, *, awaited: bool) -> bool:
    """Cancel at the `at`-th await, or end the loop there; says whether there was one."""
    reached = asyncio.Event()
    steps = Steps(load_and_commit(store), at, reached.set)

    async def inner() -> None:
        await steps

    task = asyncio.create_task(inner())
    waiting = asyncio.create_task(reached.wait())
    await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    if awaited:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
    # Otherwise the loop ends in the middle.
    return reached.is_set()


@pytest.mark.parametrize("awaited", [True, False], ids=["cancelled", "loop_ended"])
@pytest.mark.parametrize("fixture", ["store", "secret"])
def test_a_call_that_is_given_up_at_any_await_leaves_nothing_open(fixture: str, *, awaited: bool, request: pytest.FixtureRequest) -> None:
    store = request.getfixturevalue(fixture)
    at = 1
    with nothing_left_open():
        while asyncio.run(interrupted(store, at, awaited=awaited)):
            at += 1
    # The least there is to wait for: connecting, two answers.
    assert at > 3


@pytest.mark.parametrize("fixture", ["store", "secret"])
def test_a_loop_that_ends_as_soon_as_its_call_does_leaves_nothing_open(fixture: str, request: pytest.FixtureRequest) -> None:
    store = request.getfixturevalue(fixture)
    with nothing_left_open():
        for _ in range(5):
            asyncio.run(load_and_commit(store))


def test_a_call_that_times_out_on_a_server_that_does_not_read_leaves_nothing_open(server: Server) -> None:
    with RedisSessionStore(f"redis://me:hush@{HOST}:{server.port}/2", key=KEY, budget_seconds=0.2) as store:

        async def main() -> None:
            await load_and_commit(store)
            server.freeze()
            try:
                exchange = store._calls.commit(b"k", expected=b"", row=LARGE, milliseconds=1_000)
                with suppress(Exception):
                    await store._loops.drive(exchange)
            finally:
                asyncio.get_running_loop().call_soon(server.thaw)

        with nothing_left_open():
            asyncio.run(main())


def test_a_store_that_is_dropped_on_a_running_loop_leaves_nothing_open(server: Server) -> None:
    async def main() -> None:
        for _ in range(3):
            await load_and_commit(RedisSessionStore(f"redis://me:hush@{HOST}:{server.port}/2", key=KEY, budget_seconds=PATIENT_SECONDS))
            gc.collect()
            await asyncio.sleep(0)

    with nothing_left_open():
        asyncio.run(main())


@pytest.mark.parametrize("fixture", ["store", "secret"])
def test_a_call_that_is_made_while_the_loop_ends_leaves_nothing_open(fixture: str, request: pytest.FixtureRequest) -> None:
    """A stream that its reader dropped is closed by its loop, and tells then what came of it."""
    store = request.getfixturevalue(fixture)

    async def streamed() -> AsyncGenerator[int]:
        try:
            yield 1
        finally:
            await load_and_commit(store)

    async def main() -> None:
        await load_and_commit(store)
        streams = [streamed() for _ in range(3)]
        for one in streams:
            assert await anext(one) == 1
        kept.extend(streams)

    kept: list[AsyncGenerator[int]] = []
    with nothing_left_open():
        asyncio.run(main())
        kept.clear()


def test_the_detector_finds_a_connection_that_nobody_closed(server: Server) -> None:
    async def main() -> None:
        await asyncio.open_connection(HOST, server.port)

    with pytest.raises(AssertionError, match="unclosed"), nothing_left_open():
        asyncio.run(main())
