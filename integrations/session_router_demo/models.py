"""The models behind the demo: simulated ones with real clients, and what the router is told of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from langchain_anthropic import ChatAnthropic
from langchain_openai import ChatOpenAI
from pydantic import SecretStr

from session_router import CacheRules, ModelSpec, Policy, Prices
from session_router.testing.providers import Prices as BilledPrices
from session_router.testing.providers import SimulatedModel
from session_router_demo.scripts import scripted_model

if TYPE_CHECKING:
    from collections.abc import Mapping

    from session_router.testing.providers import ServedProviders

FAST: Final = "fast"
STRONG: Final = "strong"

POLICY: Final = Policy(default=FAST, stake=0.10, output_tokens=120, cache=CacheRules(sharing="tenant"))
"""Ten cents for a badly served turn: a minute of somebody's time costs more. What one customer is told, another may be told too."""

PRICES: Final[Mapping[str, Prices]] = {
    FAST: Prices(input=1.10, cached_input=0.275, output=4.40),
    STRONG: Prices(input=3.00, cached_input=0.30, cache_write=3.75, output=15.00),
}
SKILLS: Final[Mapping[str, float]] = {FAST: 0.5, STRONG: 0.9}
WINDOWS: Final[Mapping[str, int]] = {FAST: 128_000, STRONG: 200_000}
SIMULATED_IDS: Final[Mapping[str, str]] = {FAST: "sim-fast", STRONG: "sim-strong"}

_THINKING_BUDGET = 1_024
_LONGEST_ANSWER = 4_096


def simulated_models() -> list[SimulatedModel]:
    """Return what the simulated providers serve."""
    return [
        SimulatedModel(
            id=SIMULATED_IDS[name],
            provider="openai" if name == FAST else "anthropic",
            context_window=WINDOWS[name],
            prices=_billed(PRICES[name]),
            behaviour=scripted_model(),
        )
        for name in (FAST, STRONG)
    ]


def clients_of(providers: ServedProviders) -> dict[str, Any]:
    """Return an ordinary client of each model; the strong one thinks before it answers."""
    key = SecretStr("simulated")
    return {
        FAST: ChatOpenAI(model=SIMULATED_IDS[FAST], base_url=providers.openai_base_url, api_key=key, max_retries=0),
        STRONG: ChatAnthropic(
            model_name=SIMULATED_IDS[STRONG],
            base_url=providers.anthropic_base_url,
            api_key=key,
            max_retries=0,
            max_tokens_to_sample=_LONGEST_ANSWER,
            thinking={"type": "enabled", "budget_tokens": _THINKING_BUDGET},
            timeout=None,
            stop=None,
        ),
    }


def routes_of(clients: Mapping[str, Any]) -> dict[str, ModelSpec]:
    """Return what the router is told of the clients."""
    return {
        name: ModelSpec(model=client, prices=PRICES[name], context_window=WINDOWS[name], skill=SKILLS[name])
        for name, client in clients.items()
    }


def _billed(prices: Prices) -> BilledPrices:
    """Return the same prices as the simulated provider bills them; what is not stated costs as much as input."""
    return BilledPrices(
        input=prices.input,
        cached_input=prices.input if prices.cached_input is None else prices.cached_input,
        cache_write=prices.input if prices.cache_write is None else prices.cache_write,
        output=prices.output,
    )
