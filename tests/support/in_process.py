"""Simulated providers without sockets: what a client sends reaches the request handler in the same thread.

A stream arrives whole, and one that is cut arrives as far as it came: then the client misses its end, as it would over a socket.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import anthropic
import httpx
from langchain_anthropic import ChatAnthropic
from langchain_openai import ChatOpenAI

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, MutableMapping

    from session_router.testing.providers import SimulatedProviders

ADDRESS = "http://simulated"
_CUT = "peer closed connection without sending complete message body"


def transport_of(providers: SimulatedProviders, library: Any) -> Any:
    """Return a transport that hands requests to simulated providers, sync and async.

    Args:
        providers: Who answers.
        library: `httpx`, or `httpx2`, which takes no objects of the other.
    """

    class Body(library.SyncByteStream, library.AsyncByteStream):  # type: ignore[misc] # of whichever library
        """What arrived of a body; reading past the end of one that was cut fails as it does over a socket."""

        def __init__(self, content: bytes, request: Any, *, cut: bool) -> None:
            self._content, self._request, self._cut = content, request, cut

        def __iter__(self) -> Iterator[bytes]:
            yield self._content
            self._end()

        async def __aiter__(self) -> AsyncIterator[bytes]:
            yield self._content
            self._end()

        def _end(self) -> None:
            if self._cut:
                raise library.RemoteProtocolError(_CUT, request=self._request)

    class InProcess(library.BaseTransport, library.AsyncBaseTransport):  # type: ignore[misc] # of whichever library
        def handle_request(self, request: Any) -> Any:
            """Answer without an event loop: the application waits for nothing."""
            answering = self._answer(request, request.read())
            try:
                answering.send(None)
            except StopIteration as stop:
                return stop.value
            answering.close()
            msg = "the simulated providers wait for something; ask them over a socket"
            raise RuntimeError(msg)

        async def handle_async_request(self, request: Any) -> Any:
            """Answer."""
            return await self._answer(request, await request.aread())

        async def _answer(self, request: Any, content: bytes) -> Any:
            start, *parts = await _exchange(providers.asgi_app, request, content)
            body = Body(b"".join(part["body"] for part in parts), request, cut=not parts or parts[-1].get("more_body", False))
            return library.Response(start["status"], headers=start["headers"], stream=body, request=request)

    return InProcess()


async def _exchange(app: Any, request: Any, content: bytes) -> list[MutableMapping[str, Any]]:
    """Return what the application sends for a request."""
    sent: list[MutableMapping[str, Any]] = []
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": request.method,
        "headers": [(name.lower(), value) for name, value in request.headers.raw],
        "scheme": "http",
        "path": request.url.path,
        "raw_path": request.url.raw_path,
        "query_string": request.url.query,
        "server": ("simulated", 80),
        "client": ("127.0.0.1", 1),
        "root_path": "",
    }

    async def receive() -> MutableMapping[str, Any]:
        return {"type": "http.request", "body": content, "more_body": False}

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    await app(scope, receive, send)
    return sent


def _library_of(client: type) -> Any:
    """Return the library that an SDK's client is one of: SDKs move from one to the other."""
    names = [base.__module__.partition(".")[0] for base in client.__mro__]
    return importlib.import_module(next(name for name in names if name.startswith("httpx")))


class Clients:
    """Chat models that reach simulated providers in this process."""

    def __init__(self, providers: SimulatedProviders) -> None:
        library = _library_of(anthropic.DefaultHttpxClient)
        transport, other = transport_of(providers, httpx), transport_of(providers, library)
        self._openai = {"http_client": httpx.Client(transport=transport), "http_async_client": httpx.AsyncClient(transport=transport)}
        self._anthropic = library.Client(transport=other), library.AsyncClient(transport=other)

    def openai(self, id_: str, **settings: Any) -> ChatOpenAI:
        """Return a client of OpenAI's APIs."""
        settings = {"base_url": f"{ADDRESS}/openai/v1", "api_key": "key-openai", "max_retries": 0, **settings}
        return ChatOpenAI(model=id_, **self._openai, **settings)

    def claude(self, id_: str, **settings: Any) -> ChatAnthropic:
        """Return a client of Anthropic's API."""
        settings = {"base_url": f"{ADDRESS}/anthropic", "api_key": "key-anthropic", "max_retries": 0, "max_tokens": 4_096, **settings}
        model = ChatAnthropic(model_name=id_, **settings)
        # It takes no client as a setting, and builds its own when it is first asked.
        given = model._client_params
        model.__dict__["_client"] = anthropic.Client(**given, http_client=self._anthropic[0])
        model.__dict__["_async_client"] = anthropic.AsyncClient(**given, http_client=self._anthropic[1])
        return model
