"""Simulated providers in this process, as an ASGI application or on a loopback port."""

import asyncio
import contextlib
import logging
import socket
import threading
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass

import uvicorn
from starlette.applications import Starlette
from starlette.routing import Route

from session_router.testing.providers.anthropic_messages import ANTHROPIC_MESSAGES
from session_router.testing.providers.canaries import Canaries
from session_router.testing.providers.clock import SimulatedClock
from session_router.testing.providers.exchange import Exchange, ProviderState
from session_router.testing.providers.faults import Faults
from session_router.testing.providers.identifiers import Identifiers
from session_router.testing.providers.ledger import Ledger
from session_router.testing.providers.models import SimulatedModel
from session_router.testing.providers.openai_chat import OPENAI_CHAT
from session_router.testing.providers.openai_responses import OPENAI_RESPONSES
from session_router.testing.providers.signatures import Signatures

_DIALECTS = (OPENAI_CHAT, OPENAI_RESPONSES, ANTHROPIC_MESSAGES)
_STARTED_WITHIN = 10.0
_OPENAI_ROOT = "/openai/v1"
_ANTHROPIC_ROOT = "/anthropic"


class SimulatedProviders:
    """OpenAI and Anthropic, as far as their three APIs go.

    Attributes:
        clock: The time that caches go by.
        faults: What goes wrong.
        ledger: What was asked, answered and billed.
        asgi_app: The application, for `httpx.ASGITransport` and its like. Such a transport collects a stream before
            it hands it on, and reports a broken one in its own way; over `serve` both are as in real life.
    """

    def __init__(
        self,
        models: Sequence[SimulatedModel],
        *,
        clock: SimulatedClock | None = None,
        faults: Faults | None = None,
        accounts: Mapping[str, str] | None = None,
        canaries: Canaries | None = None,
        seed: str = "0",
    ) -> None:
        """Set the providers up.

        Args:
            models: The models that are served.
            clock: The time; a clock of its own if it is `None`.
            faults: What goes wrong; nothing if it is `None`.
            accounts: Account by API key; other keys are refused. `None` makes every key an account of its own.
            canaries: Who looks for data that a model may not see; nobody if it is `None`.
            seed: Fixes ids and seals. Simulators with different seeds do not know each other's.

        Raises:
            ValueError: two models share an id.
        """
        self.clock = clock or SimulatedClock()
        self.faults = faults or Faults()
        self.ledger = Ledger()
        state = ProviderState(
            models=_by_id(models),
            accounts=accounts,
            clock=self.clock,
            faults=self.faults,
            ledger=self.ledger,
            signatures=Signatures(seed),
            identifiers=Identifiers(seed),
            canaries=canaries,
        )
        self.asgi_app = Starlette(
            routes=[Route(dialect.path, Exchange(dialect=dialect, state=state).__call__, methods=["POST"]) for dialect in _DIALECTS]
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class ServedProviders:
    """Simulated providers that listen on a loopback port.

    Attributes:
        providers: The providers.
        address: `http://127.0.0.1:<port>`.
    """

    providers: SimulatedProviders
    address: str

    @property
    def openai_base_url(self) -> str:
        """Return the `base_url` for OpenAI clients."""
        return self.address + _OPENAI_ROOT

    @property
    def anthropic_base_url(self) -> str:
        """Return the `base_url` for Anthropic clients."""
        return self.address + _ANTHROPIC_ROOT

    @property
    def clock(self) -> SimulatedClock:
        """Return the time that caches go by."""
        return self.providers.clock

    @property
    def faults(self) -> Faults:
        """Return the plan of what goes wrong."""
        return self.providers.faults

    @property
    def ledger(self) -> Ledger:
        """Return what was asked, answered and billed."""
        return self.providers.ledger


@contextlib.contextmanager
def serve(
    models: Sequence[SimulatedModel],
    *,
    clock: SimulatedClock | None = None,
    faults: Faults | None = None,
    accounts: Mapping[str, str] | None = None,
    canaries: Canaries | None = None,
    seed: str = "0",
) -> Generator[ServedProviders]:
    """Serve simulated providers on a free loopback port until the block ends.

    The arguments are those of `SimulatedProviders`.

    Yields:
        The providers, ready for requests.

    Raises:
        RuntimeError: the server did not start within ten seconds.
    """
    providers = SimulatedProviders(models, clock=clock, faults=faults, accounts=accounts, canaries=canaries, seed=seed)
    config = uvicorn.Config(providers.asgi_app, log_config=None, access_log=False, lifespan="off", ws="none", http="h11", loop="asyncio")
    server = _Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener, _without_server_log():
        # Connections inherit it; without it, each answer waits some 40 ms for an acknowledgement that the client delays.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        thread = threading.Thread(target=server.run, args=([listener],), name="simulated-providers", daemon=True)
        thread.start()
        try:
            if not server.ready.wait(_STARTED_WITHIN):
                message = f"the simulated providers did not start within {_STARTED_WITHIN:g} seconds"
                raise RuntimeError(message)
            yield ServedProviders(providers=providers, address=f"http://127.0.0.1:{listener.getsockname()[1]}")
        finally:
            server.stop()
            thread.join()


class _Server(uvicorn.Server):
    """A server that starts and stops at once, where uvicorn's own looks at its flags every 0.1 seconds."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = threading.Event()
        self._stopping = threading.Event()
        self._wake: tuple[asyncio.AbstractEventLoop, asyncio.Event] | None = None

    async def main_loop(self) -> None:
        """Serve until told to stop."""
        woken = asyncio.Event()
        self._wake = (asyncio.get_running_loop(), woken)
        self.ready.set()
        if not self._stopping.is_set():
            await woken.wait()
        # Open connections are idle, or their client waits for an answer that nobody will read: both end here.
        self.force_exit = True
        for connection in list(self.server_state.connections):
            connection.transport.abort()

    def stop(self) -> None:
        """Stop, from any thread."""
        self._stopping.set()
        self.should_exit = True
        if self._wake:
            loop, woken = self._wake
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(woken.set)


@contextlib.contextmanager
def _without_server_log() -> Generator[None]:
    """Keep uvicorn from reporting as errors the connections that faults cut on purpose."""
    logger = logging.getLogger("uvicorn.error")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)


def _by_id(models: Sequence[SimulatedModel]) -> dict[str, SimulatedModel]:
    found: dict[str, SimulatedModel] = {}
    for model in models:
        for name in {model.id, model.answers_as}:
            if name in found:
                message = f"two models are called {name!r}; give each its own `id` and `dated_id`."
                raise ValueError(message)
            found[name] = model
    return found
