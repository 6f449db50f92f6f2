"""What came of one attempt: whether the user has seen part of an answer, who was asked what, and who said so."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from langchain_core.runnables.config import var_child_runnable_config

from session_router_langchain.authors import provider_id_of
from session_router_langchain.blocks import asks_of
from session_router_langchain.calls import INTERNAL_CALL
from session_router_langchain.handlers import with_handlers
from session_router_langchain.seals import same_answer
from session_router_langchain.witness import Untouched, answer_in

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence
    from uuid import UUID

    from langchain_core.callbacks import BaseCallbackHandler
    from langchain_core.messages import AIMessage, BaseMessage

    from session_router_langchain.seals import Seal


@dataclass(slots=True)
class _Run:
    """One time that the sealed request was seen to reach its model."""

    messages: Sequence[BaseMessage]
    answer: AIMessage | None = None


class DeliveryProbe(Untouched):
    """Watches one attempt.

    Args:
        wanted: Whether the answer is to be kept: then it matters what exactly was asked.

    Attributes:
        delivered: Whether anything that a user could see has been streamed.
        asked: The provider's id of the model that was asked last, which a fallback may have put in another's place;
            `None` when it did not say. What a middleware asks for itself does not count.
        described: That model, as its client describes it (`ChatModels.asked_in`).
        error: How the model failed that failed last; `None` where none did.
        wanted: As given.
        seal: What the chosen model is to be asked; `None` where nobody said so.
    """

    def __init__(self, *, wanted: bool = False) -> None:
        super().__init__()
        self.delivered = False
        self.asked: str | None = None
        self.described: object = None
        self.error: BaseException | None = None
        self.wanted = wanted
        self.seal: Seal | None = None
        self._runs: dict[UUID | None, _Run] = {}
        self._others = False
        self._answered = False
        self._internal: set[UUID | None] = set()
        self._names: dict[UUID | None, str | None] = {}
        self._authors: dict[str, str | None] = {}

    def on_chat_model_start(  # noqa: D102 -- as in the base class
        self,
        serialized: Any,  # noqa: ANN401 -- likewise
        messages: Any,  # noqa: ANN401 -- likewise
        *,
        run_id: UUID | None = None,
        metadata: Any = None,  # noqa: ANN401 -- likewise
        invocation_params: Any = None,  # noqa: ANN401 -- likewise
        **_: Any,  # noqa: ANN401 -- likewise
    ) -> None:
        name = metadata.get("ls_model_name") if isinstance(metadata, dict) else None  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType] -- callbacks come untyped
        self._names[run_id] = name if isinstance(name, str) else None
        if isinstance(metadata, dict) and INTERNAL_CALL in metadata:
            self._internal.add(run_id)
        else:
            self.asked, self.described = self._names[run_id], serialized
        if self.seal is None or not messages:
            return
        if self.seal.holds(serialized, messages[0], invocation_params):
            self._runs[run_id] = _Run(messages[0])
        else:
            self._others = True

    def on_llm_end(self, response: Any, *, run_id: UUID | None = None, **_: Any) -> None:  # noqa: ANN401 -- as in the base class
        """See an answer, as its model gave it."""
        self._answered = self._answered or run_id not in self._internal
        run, answer = self._runs.get(run_id), answer_in(response)
        if answer is not None and answer.id is not None:
            self._authors[answer.id] = self._names.get(run_id)
        if self.wanted:
            self.saw(answer)
        # What was asked may have been changed in place as well, after it was seen here.
        if run is not None and answer is not None and self.seal is not None and self.seal.said_again(run.messages):
            run.answer = answer.model_copy(deep=True)

    def on_llm_error(self, error: BaseException, *, run_id: UUID | None = None, **_: Any) -> None:  # noqa: ANN401 -- likewise
        """See how a model failed."""
        if run_id not in self._internal:
            self.error = error

    def is_made_up(self, message: AIMessage) -> bool:
        """Whether no model wrote `message`: it names none, none has answered, and nothing waits for whoever did to go on."""
        waits = bool(message.invalid_tool_calls) or bool(asks_of(message))
        return provider_id_of(message) is None and not self._answered and not waits

    def author_of(self, message: AIMessage) -> str | None:
        """Return the provider's id of the model that wrote `message`: as it says, else as it was asked; `None` for not known."""
        return provider_id_of(message) or (None if message.id is None else self._authors.get(message.id))

    @property
    def astray(self) -> bool:
        """Whether something else was asked in place of what was sealed."""
        return self._others and not self._runs

    def own_answer(self, message: AIMessage) -> AIMessage | None:
        """Return the answer that the chosen model itself gave to what was sealed, if that is what `message` says; otherwise `None`."""
        answers = [run.answer for run in self._runs.values() if run.answer is not None]
        # Of several, somebody has chosen.
        return answers[0] if len(answers) == 1 and self.untouched and same_answer(answers[0], message) else None

    def on_llm_new_token(self, token: Any, *, chunk: Any = None, **_: Any) -> None:  # noqa: ANN401 -- as in the base class
        """See a streamed chunk; the first one of a provider is often empty."""
        message = getattr(chunk, "message", None)
        if self.wanted:
            self.saw(message)
        self.delivered = self.delivered or bool(token) or bool(getattr(message, "tool_call_chunks", None))

    def on_stream_event(self, event: Any, **_: Any) -> None:  # noqa: ANN401 -- as in the base class
        """See an event of the newer streaming protocol."""
        if self.wanted:
            super().on_stream_event(event)
        kind = event.get("event") if isinstance(event, dict) else None  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType] -- callbacks come untyped
        self.delivered = self.delivered or kind in {"content-block-delta", "content-block-finish"}


@contextmanager
def attached(*handlers: BaseCallbackHandler, first: bool = False) -> Generator[None]:
    """Attach `handlers` to every model call that finds its config in this context, sync or async; `first` as for `with_handlers`."""
    config = var_child_runnable_config.get() or {}
    token = var_child_runnable_config.set({**config, "callbacks": with_handlers(config.get("callbacks"), handlers, first=first)})
    try:
        yield
    finally:
        var_child_runnable_config.reset(token)
