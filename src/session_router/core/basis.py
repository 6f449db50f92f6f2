"""What the dollars of an experience rest on."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from session_router.core.model import ModelName, ModelSpec
    from session_router.core.policy import Policy


def basis_of(specs: Mapping[ModelName, ModelSpec], policy: Policy) -> dict[str, float]:
    """Return the settings that dollars depend on, by the key under which a configuration states them."""
    basis = {"policy.stake": policy.stake, "policy.handoff": policy.handoff}
    for name, spec in specs.items():
        if spec.prices is None:
            continue
        prices = {
            "input": spec.prices.input,
            "output": spec.prices.output,
            "cached_input": spec.prices.cached_input,
            "cache_write": spec.prices.cache_write,
        }
        cache = spec.prompt_cache
        caching = {
            "seconds_to_live": cache.seconds_to_live,
            "minimum_tokens": cache.minimum_tokens,
            "block_tokens": cache.block_tokens,
        }
        basis |= {f"prices.{name}.{key}": price for key, price in prices.items() if price is not None}
        basis |= {f"models.{name}.prompt_cache.{key}": float(value) for key, value in caching.items()}
    return basis


def changed_since(basis: Mapping[str, float], now: Mapping[str, float]) -> list[str]:
    """Name the settings that differ."""
    return sorted(key for key in {*basis, *now} if basis.get(key) != now.get(key))
