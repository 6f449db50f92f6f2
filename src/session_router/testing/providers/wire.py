"""Reading JSON that a stranger sent, and writing it in one canonical form."""

import json
from collections.abc import Iterator
from typing import Any, TypeAlias, cast

JsonObject: TypeAlias = dict[str, Any]
"""One decoded JSON object. Values are untrusted until read through this module."""


def as_object(value: object) -> JsonObject:
    """Return `value` if it is a JSON object, else an empty one."""
    return cast("JsonObject", value) if isinstance(value, dict) else {}


def as_list(value: object) -> list[Any]:
    """Return `value` if it is a JSON array, else an empty one."""
    return cast("list[Any]", value) if isinstance(value, list) else []  # type: ignore[redundant-cast] # pyright needs it


def as_text(value: object) -> str:
    """Return `value` if it is a JSON string, else an empty one."""
    return value if isinstance(value, str) else ""


def objects(value: object) -> list[JsonObject]:
    """Return the elements of a JSON array as objects; other elements become empty objects."""
    return [as_object(element) for element in as_list(value)]


def canonical(value: object) -> str:
    """Return compact JSON with sorted keys, so that equal values have equal text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def encoded(value: object) -> bytes:
    """Return compact JSON as it goes over the wire: ASCII, so that even lone surrogates survive."""
    return json.dumps(value, separators=(",", ":")).encode("ascii")


def decoded(text: str) -> object:
    """Return the JSON value in `text`, or `text` itself where it is not JSON."""
    try:
        return cast("object", json.loads(text))
    except ValueError:
        return text


def pieces(text: str, size: int) -> Iterator[str]:
    """Cut `text` into runs of at most `size` characters, in order; none for an empty text."""
    for start in range(0, len(text), size):
        yield text[start : start + size]
