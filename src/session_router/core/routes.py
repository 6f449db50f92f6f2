"""From what a user gives as routes to what routing knows of each model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from session_router.core.basis import basis_of, changed_since
from session_router.core.checking import check_kind
from session_router.core.model import ModelName, ModelSpec
from session_router.core.pricing import PRICES_RULE, Prices
from session_router.errors import ConfigurationError

if TYPE_CHECKING:
    from session_router.core.policy import Policy


def specs_of(routes: Mapping[str, Any], prices: Mapping[str, Prices], policy: Policy) -> dict[ModelName, ModelSpec]:
    """Read the routes.

    Args:
        routes: Model names to chat models, provider strings, or `ModelSpec`s.
        prices: Prices by model name, for routes that bring none.
        policy: The settings, which may name routes.

    Raises:
        ConfigurationError: There is no route, a route has no price, a name is not text, or the policy names what is no route.
    """
    check_kind(routes, Mapping, key="routes", rule="give a mapping of model names to models.")
    if not routes:
        raise ConfigurationError(key="routes", value={}, rule="give at least one model.")
    _check_prices(prices, routes)
    specs: dict[ModelName, ModelSpec] = {}
    for name, route_ in routes.items():
        if not isinstance(name, str) or not name.strip():  # pyright: ignore[reportUnnecessaryIsInstance] -- callers are not all typed
            raise ConfigurationError(key="routes", value=name, rule="a model name must be a text that is not empty.")
        spec = route_ if isinstance(route_, ModelSpec) else ModelSpec(model=route_)
        if spec.model is None:
            raise ConfigurationError(key=f"routes.{name}", value=None, rule="give a chat model, or a string such as 'openai:gpt-5-mini'.")
        if spec.prices is None and name in prices:
            spec = replace(spec, prices=prices[name])
        if spec.prices is None:
            raise ConfigurationError(
                key=f"prices.{name}",
                value=None,
                rule="the price is unknown; give `prices={"
                + repr(name)
                + ": Prices(input=..., output=...)}` in US dollars per 1,000,000 tokens.",
            )
        specs[ModelName(name)] = spec
    named: dict[str, str | None] = {"policy.default": policy.default, "policy.reference": policy.reference}
    for key, chosen in named.items():
        if chosen is not None and chosen not in specs:
            raise ConfigurationError(key=key, value=chosen, rule=f"choose one of the routes {sorted(routes)!r}.")
    _check_experience(specs, policy)
    return specs


def _check_prices(prices: Mapping[str, Prices], routes: Mapping[str, Any]) -> None:
    check_kind(prices, Mapping, key="prices", rule="give a mapping of model names to `Prices`.")
    if unknown := set(prices) - set(routes):
        raise ConfigurationError(
            key="prices", value=sorted(map(str, unknown)), rule=f"these are not among the routes {sorted(map(str, routes))!r}."
        )
    for name, given in prices.items():
        check_kind(given, Prices, key=f"prices.{name}", rule=PRICES_RULE)


def _check_experience(specs: Mapping[ModelName, ModelSpec], policy: Policy) -> None:
    if policy.experience is None or not policy.experience.basis:
        return
    changed = changed_since(policy.experience.basis, basis_of(specs, policy))
    if changed:
        rule = "these have changed since it was learned, and its dollars with them; run `session-router learn` again."
        raise ConfigurationError(key="policy.experience", value=changed, rule=rule)
