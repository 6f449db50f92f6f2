"""A provider's no, before it is written in the provider's own words."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import TypeAlias, TypeVar


@dataclass(frozen=True, kw_only=True, slots=True)
class Refusal:
    """Why a request is not answered.

    Attributes:
        message: What the provider says.
        status: HTTP status, 4xx or 5xx.
        kind: The provider's `error.type`.
        param: OpenAI's `error.param`; Anthropic has none.
        code: OpenAI's `error.code`; Anthropic has none.
        retry_after: Seconds for the `retry-after` header, or `None` for no header.
    """

    message: str
    status: int = 400
    kind: str = "invalid_request_error"
    param: str | None = None
    code: str | None = None
    retry_after: float | None = None


Asked = TypeVar("Asked")
Rule: TypeAlias = Callable[[Asked], Iterator[Refusal]]
"""Yields a refusal for every breach. A later rule may rely on the earlier ones having held."""


def first_breach(rules: Iterable[Rule[Asked]], asked: Asked) -> Refusal | None:
    """Return the first refusal, in the order of `rules`, or `None` where all hold."""
    return next(chain.from_iterable(rule(asked) for rule in rules), None)


def listed(values: Iterable[str]) -> str:
    """Quote `values` as OpenAI does in its messages: `'a', 'b', and 'c'`."""
    quoted = [f"'{value}'" for value in values]
    if len(quoted) <= 2:  # noqa: PLR2004 -- two items take no comma
        return " and ".join(quoted)
    return f"{', '.join(quoted[:-1])}, and {quoted[-1]}"
