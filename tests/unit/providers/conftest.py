"""Three small models, and ways to reach them."""

import asyncio
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from session_router.testing.providers import ScriptedBehaviour, ServedProviders, SimulatedModel, SimulatedProviders, serve

PATHS = {"chat": "/openai/v1/chat/completions", "responses": "/openai/v1/responses", "messages": "/anthropic/v1/messages"}
MODELS = {"chat": "sim-fast", "responses": "sim-fast", "messages": "sim-claude"}


def models(**behaviours: Any) -> list[SimulatedModel]:
    """The models of all tests; `openai=` and `anthropic=` replace what the first of each says."""
    openai = {"behaviour": behaviours["openai"]} if "openai" in behaviours else {}
    anthropic = {"behaviour": behaviours["anthropic"]} if "anthropic" in behaviours else {}
    return [
        SimulatedModel(id="sim-fast", provider="openai", dated_id="sim-fast-2026-01-01", family="sim", **openai),
        SimulatedModel(id="sim-strong", provider="openai", family="sim"),
        SimulatedModel(id="sim-stranger", provider="openai"),
        SimulatedModel(id="sim-small", provider="openai", context_window=100),
        SimulatedModel(id="sim-claude", provider="anthropic", **anthropic),
        SimulatedModel(id="sim-claude-2", provider="anthropic"),
        SimulatedModel(id="sim-claude-small", provider="anthropic", context_window=100),
    ]


@dataclass
class Caller:
    """Posts bodies to simulated providers, without a socket."""

    providers: SimulatedProviders
    key: str = "account-a"
    headers: dict[str, str] = field(default_factory=dict)

    def __call__(self, api: str, *, key: str | None = None, **body: Any) -> httpx.Response:
        body = {"model": MODELS[api], **body}
        if api == "messages":
            body = {"max_tokens": 4096, **body}
        return self.post(api, {name: value for name, value in body.items() if value is not ...}, key=key)

    def post(self, api: str, body: Any, *, key: str | None = None, **headers: str) -> httpx.Response:
        key = self.key if key is None else key
        all_headers = {"authorization": f"Bearer {key}", "anthropic-version": "2023-06-01", **headers}
        if api == "messages":
            all_headers["x-api-key"] = key

        async def send() -> httpx.Response:
            transport = httpx.ASGITransport(app=self.providers.asgi_app)
            async with httpx.AsyncClient(transport=transport, base_url="http://simulated") as client:
                content = body if isinstance(body, bytes) else json.dumps(body).encode("ascii")
                return await client.post(PATHS[api], headers=all_headers, content=content)

        return asyncio.run(send())

    def ok(self, api: str, **body: Any) -> dict[str, Any]:
        answer = self(api, **body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def refused(self, api: str, status: int = 400, **body: Any) -> dict[str, Any]:
        answer = self(api, **body)
        assert answer.status_code == status, answer.text
        return answer.json()["error"]


@pytest.fixture
def call() -> Caller:
    return Caller(SimulatedProviders(models()))


@pytest.fixture
def scripted() -> Callable[..., Caller]:
    """A caller whose first models say what they are told to."""

    def make(*replies: Any) -> Caller:
        return Caller(SimulatedProviders(models(openai=ScriptedBehaviour(replies), anthropic=ScriptedBehaviour(replies))))

    return make


@pytest.fixture(scope="module")
def served() -> Iterator[ServedProviders]:
    with serve(models()) as providers:
        yield providers
