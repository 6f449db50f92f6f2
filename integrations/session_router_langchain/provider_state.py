"""What ties a request, rather than a message, to an account: ids of what its provider keeps of the conversation.

The ids come with the call (`previous_response_id`, `conversation`, `container`), or stand in the settings of a
route, which then sends them with every call of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from langchain_core.messages import AIMessage

from session_router.core.binding import Binding, BindingKind, BindingReach
from session_router.core.exposure import Held, id_of
from session_router.core.step import Role
from session_router_langchain.dialects import ANTHROPIC, GOOGLE_GENAI, OPENAI_CHAT, OPENAI_RESPONSES, family_of
from session_router_langchain.target import origin_in
from session_router_langchain.vocabulary import is_block

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from langchain_core.messages import BaseMessage

    from session_router.core.model import ModelName
    from session_router.core.session import Session
    from session_router.core.transcript import Transcript
    from session_router_langchain.models import ChatModels

OPENAI = family_of(OPENAI_RESPONSES)

_KEPT: Mapping[str, tuple[BindingKind, str]] = {
    "previous_response_id": (BindingKind.PREVIOUS_RESPONSE, OPENAI),
    "conversation": (BindingKind.PREVIOUS_RESPONSE, OPENAI),
    "container": (BindingKind.CONTAINER, ANTHROPIC),
}
"""Names of settings, with what each names and whose it is."""

_RESPONSE = "resp_"
"""How the ids of OpenAI's kept responses begin."""

_WITHIN = ("extra_body", "model_kwargs")
"""Settings whose entries reach the provider as settings do."""

_FAMILIES = frozenset(map(family_of, (OPENAI_CHAT, OPENAI_RESPONSES, ANTHROPIC, GOOGLE_GENAI)))


class ProviderState:
    """Finds the account that holds what a request refers to.

    Args:
        models: The chat models of the routes; looked at once they are built.
    """

    def __init__(self, models: ChatModels) -> None:
        self._models = models
        self._own: Mapping[ModelName, Mapping[str, str]] | None = None

    def bindings(
        self, settings: Mapping[str, Any], messages: Sequence[BaseMessage], transcript: Transcript, carried: Session | None
    ) -> frozenset[Binding]:
        """Return what ties a call to an account.

        Args:
            settings: Settings of the request, as the chosen model will get them.
            messages: The history.
            transcript: The history, read.
            carried: The session, when the framework carries it.

        Returns:
            The bindings. One without a holder belongs to whichever route the session is on.
        """
        own = self._own_settings()
        asked = ids_in(settings) if settings else {}
        if not asked and not own:
            return frozenset()
        found = [binding for key, value in asked.items() for binding in self._of_request(key, value, messages)]
        return frozenset([*found, *self._of_route(own, _where(transcript, self._models.specs, carried))])

    def held(self, settings: Mapping[str, Any], bindings: frozenset[Binding]) -> tuple[Held, ...]:
        """Return what a call refers to on the provider's side.

        Args:
            settings: As for `bindings`.
            bindings: What that found.
        """
        if not bindings:
            return ()
        given = [ids_in(settings), *self._own_settings().values()]
        return tuple(sorted({_held(key, value) for ids in given for key, value in ids.items()}))

    def _of_request(self, key: str, value: str, messages: Sequence[BaseMessage]) -> Iterator[Binding]:
        kind, family = _KEPT[key]
        account = self._holder(value, family, messages)
        yield Binding(kind=kind, reach=BindingReach.ACCOUNT, holder=account)
        spoken = {
            spec.dialect for spec in self._models.specs.values() if family_of(spec.dialect) == family and account in {"", spec.account}
        }
        if spoken:
            # Of OpenAI's two APIs one knows these ids. Where no route is set to it, LangChain's client moves the request there.
            dialect = OPENAI_RESPONSES if OPENAI_RESPONSES in spoken else next(iter(spoken))
            yield Binding(kind=kind, reach=BindingReach.DIALECT, holder=dialect)

    def _holder(self, value: str, family: str, messages: Sequence[BaseMessage]) -> str:
        """Name the only account that it can be, else the one whose answer bears the id, else the last of the family that answered."""
        specs = self._models.specs.values()
        accounts = {spec.account for spec in specs if family_of(spec.dialect) == family}
        # A client that is not known may speak any API.
        accounts = accounts or {spec.account for spec in specs if family_of(spec.dialect) not in _FAMILIES}
        if len(accounts) == 1:
            return accounts.pop()
        origin, last = origin_in(self._models.specs), ""
        for message in reversed(messages):
            if not isinstance(message, AIMessage):
                continue
            account = origin(message).account
            if value in _ids_of(message):
                return account
            last = last or (account if account in accounts else "")
        return last

    def _of_route(self, own: Mapping[ModelName, Mapping[str, str]], here: ModelName | None) -> Iterator[Binding]:
        specs = self._models.specs
        if here is not None:
            names = [here] if here in own else []
        else:
            # Nothing is anywhere yet, but for a conversation that was begun elsewhere: that begins where it is held.
            names = [name for name, ids in own.items() if any(_KEPT[key][0] is BindingKind.PREVIOUS_RESPONSE for key in ids)]
            names = names if len({specs[name].account for name in names}) == 1 else []
        for name in names:
            account = specs[name].account
            shared = all(own.get(other) == own[name] for other, spec in specs.items() if spec.account == account)
            for key in own[name]:
                if here is None and _KEPT[key][0] is not BindingKind.PREVIOUS_RESPONSE:
                    continue
                # A route of the same account that does not send the id does not have what it stands for.
                alone = len(names) == 1 and not shared
                reach, holder = (BindingReach.MODEL, name) if alone else (BindingReach.ACCOUNT, account)
                yield Binding(kind=_KEPT[key][0], reach=reach, holder=holder)

    def _own_settings(self) -> Mapping[ModelName, Mapping[str, str]]:
        if self._own is None:
            every = {name: ids_in(_settings_of(self._models[name])) for name in self._models.specs}
            self._own = {name: ids for name, ids in every.items() if ids}
        return self._own


def kept_as(message: AIMessage) -> tuple[str, ...]:
    """Return the digests of the ids under which a provider keeps an answer and what it answers."""
    return tuple(id_of(value) for value in _ids_of(message) if value.startswith(_RESPONSE) or value == _id_of(_container(message)))


def response_id_of(message: BaseMessage) -> str | None:
    """Return the digest of the id under which OpenAI keeps an answer; `None` for a message that has none."""
    value = _id_of(message.response_metadata.get("id")) if isinstance(message, AIMessage) else ""
    return id_of(value) if value.startswith(_RESPONSE) else None


def without_response_id(message: BaseMessage) -> BaseMessage:
    """Return an answer without the id under which its provider keeps it.

    A client that derives `previous_response_id` from the history then sends the history itself.
    """
    left = {key: one for key, one in message.response_metadata.items() if key != "id"}
    return message.model_copy(update={"response_metadata": left})


def derives_response_ids(model: object) -> bool:
    """Whether a chat model refers to the history by the id of the last answer in it, without being told to."""
    return getattr(model, "use_previous_response_id", None) is True


def _held(key: str, value: str) -> Held:
    return Held(id_of(value), grows=key != "previous_response_id")


def ids_in(settings: Mapping[str, Any]) -> dict[str, str]:
    """Return the ids in `settings` of what a provider keeps, by the name of the setting."""
    found = {key: id_ for key in _KEPT if (id_ := _id_of(settings.get(key)))}
    for key in _WITHIN:
        if is_block(nested := settings.get(key)):
            found = {**ids_in(nested), **found}
    return found


def _settings_of(model: object) -> dict[str, Any]:
    return {key: getattr(model, key, None) for key in (*_KEPT, *_WITHIN)}


def _id_of(value: object) -> str:
    """Read an id that is given by itself, or in an object; an object without one asks for something new."""
    held: object = cast("Mapping[str, object]", value).get("id") if is_block(value) else value
    return held if isinstance(held, str) else ""


def _ids_of(message: AIMessage) -> Iterable[str]:
    metadata = message.response_metadata
    return (_id_of(metadata.get("id")), _id_of(_container(message)))


def _container(message: AIMessage) -> object:
    return message.response_metadata.get("container")


def _where(transcript: Transcript, specs: Mapping[ModelName, Any], carried: Session | None) -> ModelName | None:
    """Say on which route the session is, as far as can be seen from here."""
    last = next((step for step in reversed(transcript.steps) if step.role is Role.AI), None)
    if last is not None and last.author in specs:
        return cast("ModelName", last.author)
    return carried.current if carried is not None and carried.current in specs else None
