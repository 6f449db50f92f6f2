"""What is handed to this package checks itself where it enters."""

from __future__ import annotations

from collections.abc import Sequence
from types import NoneType
from typing import TYPE_CHECKING, cast

from langchain_core.messages import BaseMessage

from session_router.core.checking import check_kind
from session_router.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Container, Mapping


def check_names(*, tenant: object, principal: object) -> None:
    """Refuse names of a deployment and of a user that are no texts: ids are made of them, and a number is no text.

    Raises:
        ConfigurationError: One of them is neither a text nor `None`.
    """
    for key, name in {"tenant": tenant, "principal": principal}.items():
        check_kind(name, (str, NoneType), key=key, rule="give a text, such as 'user-4711'; `str(...)` makes one of a number.")


def check_messages(messages: object) -> None:
    """Refuse what is no list of LangChain's messages; an error names its kind, and shows nothing of what it says.

    Raises:
        ConfigurationError: It is something else, or holds something else.
    """
    if isinstance(messages, str) or not isinstance(messages, Sequence):
        raise ConfigurationError(key="messages", value=type(messages).__name__, rule="give a list of LangChain's messages.")
    for index, one in enumerate(cast("Sequence[object]", messages)):
        if not isinstance(one, BaseMessage):
            rule = "give LangChain's messages; its `convert_to_messages` makes them of pairs and tables."
            raise ConfigurationError(key=f"messages.{index}", value=type(one).__name__, rule=rule)


def check_settings(given: Mapping[str, object], known: Container[str], *, of: str) -> None:
    """Refuse settings that there are none of; an error does not show the value, which may be the secret of a misspelt key.

    Raises:
        ConfigurationError: There is one.
    """
    for name, value in given.items():
        if name not in known:
            raise ConfigurationError(key=name, value=type(value).__name__, rule=f"{of} has no such setting; see its reference.")
