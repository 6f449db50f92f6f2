"""Has the user already seen part of the answer?"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.runnables.config import merge_configs, var_child_runnable_config

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from langchain_core.messages import BaseMessage


class DeliveryProbe(BaseCallbackHandler):
    """Watches one call for its first streamed content.

    Attributes:
        delivered: Whether anything that a user could see has been streamed.
        asked: The provider's id of the model that was asked last, which a fallback may have put in another's place;
            `None` when it did not say.
        sent: The messages that this model was asked with; `None` when none was seen to be asked.
    """

    run_inline = True

    def __init__(self) -> None:
        super().__init__()
        self.delivered = False
        self.asked: str | None = None
        self.sent: Sequence[BaseMessage] | None = None

    def on_chat_model_start(self, serialized: Any, messages: Any, *, metadata: Any = None, **_: Any) -> None:  # noqa: ANN401, ARG002 -- as in the base class
        """See who is asked, and with what."""
        self.sent = messages[0] if messages else None
        name = metadata.get("ls_model_name") if isinstance(metadata, dict) else None  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType] -- callbacks come untyped
        self.asked = name if isinstance(name, str) else None

    def on_llm_new_token(self, token: Any, *, chunk: Any = None, **_: Any) -> None:  # noqa: ANN401 -- as in the base class
        """See a streamed chunk; the first one of a provider is often empty."""
        message = getattr(chunk, "message", None)
        self.delivered = self.delivered or bool(token) or bool(getattr(message, "tool_call_chunks", None))

    def on_stream_event(self, event: Any, **_: Any) -> None:  # noqa: ANN401 -- as in the base class
        """See an event of the newer streaming protocol."""
        kind = event.get("event") if isinstance(event, dict) else None  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType] -- callbacks come untyped
        self.delivered = self.delivered or kind in {"content-block-delta", "content-block-finish"}


@contextmanager
def attached(probe: DeliveryProbe) -> Generator[None]:
    """Attach `probe` to every model call that finds its config in this context, sync or async."""
    token = var_child_runnable_config.set(merge_configs(var_child_runnable_config.get(), {"callbacks": [probe]}))
    try:
        yield
    finally:
        var_child_runnable_config.reset(token)
