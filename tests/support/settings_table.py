"""The configuration schema as table rows: key, type, default and rule of every setting."""

from __future__ import annotations

import types
from enum import Enum, IntEnum
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, Union, get_args, get_origin

import annotated_types
from pydantic import BaseModel, BeforeValidator, SecretStr, StringConstraints
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from session_router.config import Settings
from session_router.config.schema import AN_INSTANT, _instant

if TYPE_CHECKING:
    from collections.abc import Iterator

_WORDS: Final = {str: "text", float: "number", int: "whole number", bool: "true or false", SecretStr: "text"}
_BOUNDS: Final = (
    (annotated_types.Ge, "ge", ">="),
    (annotated_types.Gt, "gt", ">"),
    (annotated_types.Le, "le", "<="),
    (annotated_types.Lt, "lt", "<"),
)


def setting_rows(section: type[BaseModel] = Settings, prefix: str = "") -> Iterator[tuple[str, str, str, str]]:
    """Yield the rows of `section` and of every section in it."""
    for name, field in section.model_fields.items():
        yield from _rows(field, prefix + name)


def _rows(field: FieldInfo, key: str) -> Iterator[tuple[str, str, str, str]]:
    annotation = field.annotation
    arguments = [one for one in get_args(annotation) if one is not types.NoneType]
    if get_origin(annotation) is dict and arguments[0] is not str:
        annotation, key = arguments[1], f"{key}.NAME"
    section = _section_in(annotation)
    if section is not None:
        yield from setting_rows(section, key + ".")
        return
    metadata = [*field.metadata, *_metadata(annotation)]
    is_instant = any(isinstance(one, BeforeValidator) and one.func is _instant for one in metadata)
    kind = AN_INSTANT.removeprefix("give a ") if is_instant else type_in_words(annotation)
    yield f"`{key}`", kind, _default(field), "; ".join(_rules(metadata))


def _section_in(annotation: Any) -> type[BaseModel] | None:
    for one in _unwrapped(annotation):
        if isinstance(one, type) and issubclass(one, BaseModel):
            return one
    return None


def type_in_words(annotation: Any) -> str:
    """Tell a type in the words of a configuration file."""
    for one in _unwrapped(annotation):
        if get_origin(one) in {frozenset, tuple}:
            return f"list of {type_in_words(get_args(one)[0])}"
        if get_origin(one) is Literal:
            return ", ".join(f"`{value}`" for value in get_args(one))
        if get_origin(one) is dict:
            return "table"
        if isinstance(one, type) and issubclass(one, Enum):
            return ", ".join(f"`{_spelt(value)}`" for value in one)
        if one in _WORDS:
            return _WORDS[one]
    message = f"{annotation!r} has no words yet"
    raise AssertionError(message)


def _unwrapped(annotation: Any) -> Iterator[Any]:
    if get_origin(annotation) in {Union, types.UnionType}:
        for one in get_args(annotation):
            yield from _unwrapped(one)
    elif get_origin(annotation) is Annotated:
        yield from _unwrapped(get_args(annotation)[0])
    elif annotation is not types.NoneType:
        yield annotation


def _metadata(annotation: Any) -> Iterator[Any]:
    if get_origin(annotation) in {Union, types.UnionType}:
        for one in get_args(annotation):
            yield from _metadata(one)
    elif get_origin(annotation) is Annotated:
        inner, *metadata = get_args(annotation)
        yield from _metadata(inner)
        for one in metadata:
            yield from one.metadata if isinstance(one, FieldInfo) else [one]


def _rules(metadata: list[Any]) -> Iterator[str]:
    for one in metadata:
        for kind, attribute, sign in _BOUNDS:
            if isinstance(one, kind):
                yield f"{sign} {getattr(one, attribute):g}"
        if isinstance(one, StringConstraints) and one.min_length:
            yield "not empty"


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    assert value is not PydanticUndefined
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if value is None or value in ("", frozenset(), (), {}):
        return "none"
    if isinstance(value, Enum):
        return f"`{_spelt(value)}`"
    return f"`{f'{value:g}' if isinstance(value, float) else value}`"


def _spelt(value: Enum) -> str:
    # Levels are numbers in the code and names in a file.
    return value.name.lower() if isinstance(value, IntEnum) else str(value.value)
