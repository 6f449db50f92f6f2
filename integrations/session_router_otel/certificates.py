"""What the response caches of routers may serve: gauges that are read when metrics are collected."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from opentelemetry.metrics import Observation

from session_router.errors import StoreError
from session_router_otel import conventions as names

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from session_router.core.wager import Stratum, Wager
    from session_router.router import Router


def certified_errors(routers: Iterable[Router]) -> list[Observation]:
    """Return, by category, the share of wrong answers per hit that certificates allow where they let hits be served."""
    allowed: dict[str, float] = {}
    for stratum, wager in _strata(routers):
        if wager.serves:
            allowed[stratum.category] = max(wager.target.wrong, allowed.get(stratum.category, 0.0))
    return [Observation(share, {names.CACHE_CATEGORY: category}) for category, share in allowed.items()]


def strata(routers: Iterable[Router]) -> list[Observation]:
    """Return how many strata there are, by category and state."""
    counted = Counter((stratum.category, _state(wager)) for stratum, wager in _strata(routers))
    return [
        Observation(number, {names.CACHE_CATEGORY: category, names.CACHE_STATE: state}) for (category, state), number in counted.items()
    ]


def _state(wager: Wager) -> str:
    return "closed" if wager.closed else "serving" if wager.serves else "watching"


def _strata(routers: Iterable[Router]) -> Iterable[tuple[Stratum, Wager]]:
    for router in routers:
        cache: Any = getattr(router, "cache", None)
        # Strata are a matter of the semantic cache; the port knows of none.
        if not hasattr(cache, "strata"):
            continue
        try:
            found: Mapping[Stratum, Wager] = cache.strata()
        except StoreError:
            continue
        yield from found.items()
