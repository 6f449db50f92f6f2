"""A last look at what is about to be sent: middleware further inside may have put another model, or more, in place of what was decided.

Nothing is sent that nobody was asked about: a fallback to another model is a call to that model, and a message that is put in bears its
own label.
"""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from operator import is_
from typing import TYPE_CHECKING, Any

from langchain_core.callbacks import BaseCallbackHandler

from session_router.core.governance import join
from session_router.errors import NoClearedModel
from session_router_langchain.authors import STAMP
from session_router_langchain.calls import INTERNAL_CALL
from session_router_langchain.tagging import own_label

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from langchain_core.messages import BaseMessage

    from session_router.core.call import Call
    from session_router.core.decision import Decision
    from session_router.core.governance import Tag
    from session_router.core.model import ModelName
    from session_router.router import Router

_looking: ContextVar[LastLook | None] = ContextVar("session_router.last_look", default=None)


class LastLook(BaseCallbackHandler):
    """Refuses what a label forbids, as late as can be.

    A call of a middleware's own is not looked at: it asks somebody else, and does not send on all that was handed to it, or says that it
    is one, or has been decided about by itself.

    Args:
        router: Knows who may see what.
        call: What was decided about.
        decision: Who was chosen.
        tag: The label of what was decided about.
        asked: Returns the provider's id under which a route's model is asked; `None` where it has none.
        sent: What it is to be asked.
    """

    raise_error = True
    run_inline = True

    def __init__(
        self,
        router: Router,
        call: Call,
        decision: Decision,
        *,
        tag: Tag,
        asked: Callable[[ModelName], str | None],
        sent: Sequence[BaseMessage],
    ) -> None:
        super().__init__()
        self._router, self._call, self._decision = router, call, decision
        self._tag, self._asked, self._sent = tag, asked, sent

    @contextmanager
    def here(self) -> Generator[None]:
        """Look at the calls that are made in this context."""
        token = _looking.set(self)
        try:
            yield
        finally:
            _looking.reset(token)

    def on_chat_model_start(  # noqa: D102 -- as in the base class
        self,
        serialized: Any,  # noqa: ANN401, ARG002 -- likewise
        messages: list[list[BaseMessage]],
        *,
        metadata: dict[str, Any] | None = None,
        **_: Any,  # noqa: ANN401 -- likewise
    ) -> None:
        told = metadata or {}
        if _looking.get() is not self or INTERNAL_CALL in told or STAMP in told:
            return
        name: object = told.get("ls_model_name")
        for said in messages:
            self._look(said, name if isinstance(name, str) and name != self._asked(self._decision.chosen()) else None)

    def _look(self, said: Sequence[BaseMessage], stranger: str | None) -> None:
        """Look at one request; `stranger` is who is asked in place of the chosen model."""
        put_in: list[Tag] = []
        whole = len(said) == len(self._sent) and all(map(is_, said, self._sent))
        if not whole:
            handed = {id(message) for message in self._sent}
            labels = (own_label(message) for message in said if id(message) not in handed)
            put_in, whole = [label for label in labels if label is not None], handed <= {id(message) for message in said}
        if not (put_in if stranger is None else whole):
            return
        specs, tag = self._router.models, join(self._tag, *put_in)
        name = self._decision.chosen() if stranger is None else next((one for one in specs if self._asked(one) == stranger), None)
        clearance = None if name is None else specs[name].clearance
        shown = name or str(stranger)
        rule = self._router.policy.failing_rule(tag, clearance, model=shown, now=self._decision.at, purpose=self._call.purpose)
        if rule is not None:
            raise NoClearedModel(tag=tag.describe(), tried={shown: rule})
