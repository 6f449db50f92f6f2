"""A TCP proxy that delays, cuts, trickles and corrupts what passes."""

from __future__ import annotations

import contextlib
import random
import select
import socket
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

HOST = "127.0.0.1"
_PIECE = 65_536
_POLL_SECONDS = 0.1


class Proxy:
    """Stands between a client and a server; what is wrong can be changed at any time, and counts for connections that are open."""

    def __init__(self, port: int, *, seed: int = 0) -> None:
        self.delay_seconds = 0.0
        self.corrupted_share = 0.0  # of the pieces, in both directions
        self.lost_share = 0.0  # of the pieces from the server: the connection is cut instead
        self.is_trickling = False
        self._target = port
        self._random = random.Random(seed)
        self._listening = socket.create_server((HOST, 0))
        self.port = self._listening.getsockname()[1]
        self._ended = threading.Event()
        self._threads: list[threading.Thread] = []
        self._open: set[socket.socket] = set()
        self._guard = threading.Lock()

    @property
    def url(self) -> str:
        return f"redis://{HOST}:{self.port}/0"

    def start(self) -> None:
        self._begin(self._accept)

    def cut(self) -> None:
        """End every connection, as a firewall does."""
        with self._guard:
            for one in self._open:
                with contextlib.suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._ended.set()
        self.cut()
        while self._threads:
            self._threads.pop().join()
        self._listening.close()

    def _begin(self, what: object, *arguments: object) -> None:
        thread = threading.Thread(target=what, args=arguments, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._ended.is_set():
            if not select.select([self._listening], [], [], _POLL_SECONDS)[0]:
                continue
            client, _ = self._listening.accept()
            self._begin(self._serve, client)

    def _serve(self, client: socket.socket) -> None:
        with client:
            try:
                server = socket.create_connection((HOST, self._target), timeout=5.0)
            except OSError:
                return
            with server:
                pair = {client: server, server: client}
                with self._guard:
                    self._open.update(pair)
                with contextlib.suppress(OSError):
                    self._pass_on(pair, server)
                with self._guard:
                    self._open.difference_update(pair)

    def _pass_on(self, pair: dict[socket.socket, socket.socket], server: socket.socket) -> None:
        while not self._ended.is_set():
            for source in select.select(list(pair), [], [], _POLL_SECONDS)[0]:
                piece = source.recv(_PIECE)
                if not piece or (source is server and self._drawn(self.lost_share)):
                    return
                if self.delay_seconds:
                    self._ended.wait(self.delay_seconds)
                self._send(pair[source], self._corrupted(piece) if self._drawn(self.corrupted_share) else piece)

    def _send(self, target: socket.socket, piece: bytes) -> None:
        if not self.is_trickling:
            target.sendall(piece)
            return
        for place in range(len(piece)):
            target.sendall(piece[place : place + 1])
            time.sleep(0.01)

    def _drawn(self, share: float) -> bool:
        return share > 0 and self._random.random() < share

    def _corrupted(self, piece: bytes) -> bytes:
        changed = bytearray(piece)
        changed[self._random.randrange(len(changed))] ^= 1 << self._random.randrange(8)
        return bytes(changed)


@contextmanager
def proxy(port: int, *, seed: int = 0) -> Iterator[Proxy]:
    """A proxy before the server on `port`."""
    one = Proxy(port, seed=seed)
    one.start()
    try:
        yield one
    finally:
        one.close()
