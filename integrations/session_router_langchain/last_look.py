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

from session_router.core.governance import Tag, join
from session_router.errors import NoClearedModel
from session_router_langchain.authors import STAMP
from session_router_langchain.calls import INTERNAL_CALL
from session_router_langchain.tagging import own_label

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from langchain_core.messages import BaseMessage

    from session_router.core.call import Call
    from session_router.core.decision import Decision
    from session_router.core.governance import Clearance
    from session_router.core.model import ModelName
    from session_router.router import Router
    from session_router_langchain.models import ChatModels

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
        models: The routes' models.
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
        models: ChatModels,
        sent: Sequence[BaseMessage],
    ) -> None:
        super().__init__()
        self._router, self._call, self._decision = router, call, decision
        self._tag, self._models, self._sent = tag, models, sent

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
        serialized: Any,  # noqa: ANN401 -- likewise
        messages: list[list[BaseMessage]],
        *,
        metadata: dict[str, Any] | None = None,
        **_: Any,  # noqa: ANN401 -- likewise
    ) -> None:
        told = metadata or {}
        if _looking.get() is not self or INTERNAL_CALL in told or STAMP in told:
            return
        name, chosen = told.get("ls_model_name"), self._decision.chosen()
        names = self._models.asked_in(serialized, name, chosen=chosen) if isinstance(name, str) else [chosen]
        for said in messages:
            self._look(said, names, stranger=str(name))

    def _look(self, said: Sequence[BaseMessage], names: Sequence[ModelName], *, stranger: str) -> None:
        """Look at one request that goes to one of `names`, nobody knows which, or to a `stranger` where there are none."""
        chosen, put_in = self._decision.chosen(), list[Tag]()
        whole = len(said) == len(self._sent) and all(map(is_, said, self._sent))
        if not whole:
            handed = {id(message) for message in self._sent}
            labels = (own_label(message) for message in said if id(message) not in handed)
            put_in, whole = [label for label in labels if label is not None], handed <= {id(message) for message in said}
        others = [name for name in names if name != chosen]
        if not ((put_in and chosen in names) or (whole and (others or not names))):
            return
        tag, specs = join(self._tag, *put_in), self._router.models
        shown_to: list[tuple[str, Clearance | None]] = [(name, specs[name].clearance) for name in names] or [(stranger, None)]
        for shown, clearance in shown_to:
            rule = self._router.policy.failing_rule(tag, clearance, model=shown, now=self._decision.at, purpose=self._call.purpose)
            if rule is not None:
                raise NoClearedModel(tag=tag.describe(), tried={shown: rule})
