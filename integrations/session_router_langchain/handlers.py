"""Callback handlers of our own, put among those of an application."""

from __future__ import annotations

from typing import TYPE_CHECKING

from langchain_core.callbacks import BaseCallbackManager

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_core.callbacks import BaseCallbackHandler, Callbacks


def with_handlers(callbacks: Callbacks, handlers: Sequence[BaseCallbackHandler], *, first: bool = False) -> Callbacks:
    """Return `callbacks` with `handlers` added; what was given stays as it is.

    LangChain's own `merge_configs` would let the config of the surrounding run win over the one of this call.

    Args:
        callbacks: As a config has them.
        handlers: Which.
        first: Whether they are told before the others, who may change in place what they are told of.
    """
    if not handlers:
        return callbacks
    if not isinstance(callbacks, BaseCallbackManager):
        return [*handlers, *(callbacks or ())] if first else [*(callbacks or ()), *handlers]
    extended = callbacks.copy()
    for handler in handlers:
        extended.add_handler(handler, inherit=True)
    if first:
        for known in (extended.handlers, extended.inheritable_handlers):
            known[:] = [*handlers, *(one for one in known if one not in handlers)]
    return extended


def handlers_in(callbacks: Callbacks) -> Sequence[BaseCallbackHandler]:
    """Return the handlers among `callbacks`."""
    return callbacks.handlers if isinstance(callbacks, BaseCallbackManager) else callbacks or ()
