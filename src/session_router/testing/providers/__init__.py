"""Strict simulators of OpenAI's and Anthropic's model APIs, on a loopback port or as an ASGI application.

They enforce the providers' published rules with the providers' own errors, cache prefixes by
a simulated clock, count and bill exactly, and fail on request. A routing bug that a mock
would swallow is a 400 here.

    model = SimulatedModel(id="sim-fast", provider="openai")
    with serve([model]) as providers:
        chat = ChatOpenAI(model="sim-fast", base_url=providers.openai_base_url, api_key="any")
        chat.invoke("Hello")
        assert providers.ledger.client_errors == 0

Needs the `testing` extra.
"""

from session_router.testing.providers.behaviour import Behaviour, ScriptedBehaviour, ScriptExhaustedError
from session_router.testing.providers.canaries import Canaries, Leak
from session_router.testing.providers.clock import SimulatedClock
from session_router.testing.providers.faults import Fault, Faults
from session_router.testing.providers.ledger import Ledger, LedgerRow, LedgerTotals
from session_router.testing.providers.models import Prices, SimulatedModel
from session_router.testing.providers.prompt import Prompt, Tool, ToolCall, ToolChoice, ToolResult, Turn
from session_router.testing.providers.reply import ClientItem, Reply, WebSearch
from session_router.testing.providers.schema_behaviour import SchemaBehaviour
from session_router.testing.providers.server import ServedProviders, SimulatedProviders, serve
from session_router.testing.providers.tokens import count_tokens

__all__ = [
    "Behaviour",
    "Canaries",
    "ClientItem",
    "Fault",
    "Faults",
    "Leak",
    "Ledger",
    "LedgerRow",
    "LedgerTotals",
    "Prices",
    "Prompt",
    "Reply",
    "SchemaBehaviour",
    "ScriptExhaustedError",
    "ScriptedBehaviour",
    "ServedProviders",
    "SimulatedClock",
    "SimulatedModel",
    "SimulatedProviders",
    "Tool",
    "ToolCall",
    "ToolChoice",
    "ToolResult",
    "Turn",
    "WebSearch",
    "count_tokens",
    "serve",
]
