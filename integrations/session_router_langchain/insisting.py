"""The model name of a call: `auto`, or the one route to insist on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from session_router.core.model import ModelName
from session_router.errors import ConfigurationError

if TYPE_CHECKING:
    from session_router.router import Router

AUTO = "auto"
"""The model name that means: the router decides."""


def check_auto_is_free(router: Router) -> None:
    """Refuse a router that has a route of this name: nobody could say which of the two is meant.

    Raises:
        ConfigurationError: There is one.
    """
    if AUTO in router.models:
        raise ConfigurationError(key=f"routes.{AUTO}", value=AUTO, rule="this name lets the router choose; name the route otherwise.")


def insisted_on(name: str, router: Router) -> ModelName | None:
    """Return the route that `name` insists on; `None` where the router decides.

    Raises:
        ConfigurationError: There is no such route.
    """
    if name == AUTO:
        return None
    if name not in router.models:
        raise ConfigurationError(key="model", value=name, rule=f"choose 'auto' or one of {sorted(router.models)!r}.")
    return ModelName(name)
