"""What a chat model is set up with, as far as it decides what is answered and by whom: one value for all processes."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from enum import Enum
from functools import lru_cache, singledispatch
from types import NoneType
from typing import TYPE_CHECKING, Any, Final

from langchain_core.language_models import BaseChatModel
from pydantic import BaseModel, SecretStr

from session_router_langchain.endpoints import endpoint_of
from session_router_langchain.exact import Untold

if TYPE_CHECKING:
    from collections.abc import Iterator

_BESIDE: Final = frozenset(
    {
        "default_request_timeout",
        "include_response_headers",
        "max_retries",
        "name",
        "request_timeout",
        "stream_chunk_timeout",
        "stream_usage",
        "streaming",
        "tiktoken_model_name",
        "timeout",
        "validate_base_url",
        "verbose",
    }
)
"""Fields that say how long and how often a model is asked, and what is noted of it: not what it answers."""

_CREDENTIAL: Final = re.compile(
    r"authorization|cookie|credential|passw(or)?d|secret|proxy|"
    r"(^|[-_ ])(api|auth|access|account|subscription|virtual|private)?[-_ ]?key$|(^|[-_ ])token$",
    re.IGNORECASE,
)
"""Names of what opens an account, among headers and arguments."""


def set_up_of(model: BaseChatModel, account: str) -> object:
    """Return everything that `model` is set up with and that may decide an answer, as plain values to be digested.

    These are its class, the address that it sends to, and its fields: those that LangChain's classes declare as no part of
    their description are connections and bookkeeping. A key is never read. What stands for a credential among headers counts as a digest.

    Args:
        model: A chat model; nothing is called that could reach the network.
        account: Endpoint and account, as `ModelSpec.account` names them.

    Raises:
        Untold: A field holds something that cannot be told, and the class does not say by itself what identifies it.
    """
    kind = type(model)
    fields: dict[str, object] = {}
    hidden: list[str] = []
    secrets = _read(model, "lc_secrets")
    for name, value in _fields_of(model):
        if isinstance(secrets, Mapping) and name in secrets and not isinstance(value, Mapping | list):
            # It names the account. Servers of tools are declared as a secret too.
            continue
        try:
            fields[name] = _told(value, name)
        except Untold:
            hidden.append(name)
    if hidden:
        if kind._identifying_params is BaseChatModel._identifying_params:  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] -- LangChain's own protocol, for classes to override
            raise Untold(_field(hidden[0]))
        fields["_identifying_params"] = _told(_read(model, "_identifying_params"), "")
    return [f"{kind.__module__}.{kind.__qualname__}", endpoint_of(model), account, fields]


def _fields_of(model: BaseModel) -> Iterator[tuple[str, object]]:
    held = vars(model)
    for name in _counted(type(model)):
        yield name, held.get(name)
    yield from (model.__pydantic_extra__ or {}).items()


@lru_cache(maxsize=256)
def _counted(kind: type[BaseModel]) -> tuple[str, ...]:
    """Return the names of the fields that count."""
    return tuple(name for name, field in kind.model_fields.items() if not field.exclude and name not in _BESIDE)


def _told(value: object, name: str) -> object:
    """Return `value` as plain values; `name` is that under which it stands."""
    return _sealed(value) if name and value is not None and _CREDENTIAL.search(name) else _plain(value)


@singledispatch
def _plain(value: object) -> object:
    raise Untold(type(value).__name__)


@_plain.register(str)
@_plain.register(int)
@_plain.register(float)
@_plain.register(NoneType)
def _(value: object) -> object:
    return value


@_plain.register
def _(value: bytes) -> object:
    return ["bytes", value.hex()]


@_plain.register
def _(value: Enum) -> object:
    return [type(value).__qualname__, _plain(value.value)]


@_plain.register
def _(value: SecretStr) -> object:
    return _sealed(value)


@_plain.register(Mapping)
def _(value: Mapping[object, object]) -> object:
    return {_key(key): _told(inner, str(key)) for key, inner in value.items()}


@_plain.register(list)
@_plain.register(tuple)
def _(value: Iterable[object]) -> object:
    return [*map(_plain, value)]


@_plain.register(set)
@_plain.register(frozenset)
def _(value: Iterable[object]) -> object:
    return ["set", sorted(repr(_plain(inner)) for inner in value)]


@_plain.register
def _(value: BaseModel) -> object:
    kind = type(value)
    return [f"{kind.__module__}.{kind.__qualname__}", {name: _told(inner, name) for name, inner in _fields_of(value)}]


def _key(key: object) -> str:
    if isinstance(key, str):
        return key
    raise Untold(type(key).__name__)


def _sealed(value: object) -> object:
    """Return what tells credentials apart, and opens nothing."""
    text = value.get_secret_value() if isinstance(value, SecretStr) else value
    if not isinstance(text, str):
        return ["credential"]
    return ["credential", hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8, person=b"credential").hexdigest()]


def _read(owner: object, name: str) -> Any:  # noqa: ANN401 -- of foreign classes
    try:
        return getattr(owner, name, None)
    except Exception as error:
        raise Untold(_field(name)) from error


def _field(name: str) -> str:
    return f"its `{name}`"
