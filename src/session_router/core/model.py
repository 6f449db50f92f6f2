"""A route: the abstract name of a model, and what routing knows of the model behind it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import NoneType
from typing import TYPE_CHECKING, Any, NewType, cast

from session_router.core.binding import BindingReach
from session_router.core.checking import check_kind, check_number
from session_router.core.governance import Clearance
from session_router.core.prefix import PromptCache
from session_router.core.pricing import PRICES_RULE, Prices
from session_router.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Collection

    from session_router.core.binding import Binding

ModelName = NewType("ModelName", str)
"""The abstract name that the application codes against, such as `fast`."""


class Capability(StrEnum):
    """What a call may need of a model."""

    TOOLS = "tools"
    STRUCTURED_OUTPUT = "structured_output"
    IMAGES = "images"
    AUDIO = "audio"
    FILES = "files"


_COLLECTIONS: tuple[type, ...] = (set, frozenset, list, tuple)

# A provider answers with a dated or numbered form of the id it was asked for: gpt-4o -> gpt-4o-2024-08-06.
_SUFFIX = re.compile(r"(-\d{4}-\d{2}-\d{2}|-\d{8}|-\d{3,4}|-latest|@[\w.-]+|:[\w.-]+)+")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSpec:
    """What routing knows of one model.

    Attributes:
        model: The chat model, or a provider string such as `openai:gpt-5-mini`. Routing never looks inside;
            the integration resolves it.
        prices: US dollars per 1,000,000 tokens. Required by the time the router is built.
        context_window: Tokens that one request may hold, as its provider counts them; `None` when unknown, which excludes nothing.
        capabilities: What it can do; `None` when unknown, which excludes nothing.
        clearance: What it may see; `None` when unknown, which is nothing as soon as governance is in use.
        provider_ids: Ids under which the provider answers, besides the one in `model`.
        dialect: The API it speaks, such as `openai-chat`, `openai-responses`, `anthropic`, `google-genai`;
            empty when the integration should find out.
        account: Name of the endpoint and account whose server-side state it shares; empty when the
            integration should find out.
        skill: In [0, 1]: how hard a segment it can serve, for scorers without outcomes; `None` to rank by price.
        settings: Keyword arguments for building a chat model from a provider string.
        prompt_cache: How its provider caches prompts.
        source: File that the route was read from, for errors; empty when it came from Python.
    """

    model: Any = None
    prices: Prices | None = None
    context_window: int | None = None
    capabilities: frozenset[Capability] | None = None
    clearance: Clearance | None = None
    provider_ids: frozenset[str] = frozenset()
    dialect: str = ""
    account: str = ""
    skill: float | None = None
    settings: Mapping[str, Any] = field(default_factory=dict[str, Any])
    prompt_cache: PromptCache = field(default_factory=PromptCache)
    source: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        """Check the values."""
        if self.context_window is not None:
            check_number(self.context_window, key="context_window", rule="give a number of tokens above 0.", low=1, whole=True)
        if self.skill is not None:
            check_number(self.skill, key="skill", rule="give a number in [0, 1].", high=1.0)
        check_kind(self.prices, (Prices, NoneType), key="prices", rule=PRICES_RULE)
        check_kind(self.clearance, (Clearance, NoneType), key="clearance", rule="give a `Clearance`.")
        check_kind(self.settings, Mapping, key="settings", rule="give keyword arguments of the chat model, such as {'max_tokens': 4096}.")
        check_kind(self.prompt_cache, PromptCache, key="prompt_cache", rule="give a `PromptCache`.")
        for name in ("dialect", "account", "source"):
            check_kind(getattr(self, name), str, key=name, rule="give a text, or leave it out.")
        if self.capabilities is not None:
            check_kind(self.capabilities, _COLLECTIONS, key="capabilities", rule="give a set, such as {'tools', 'images'}.")
            object.__setattr__(self, "capabilities", frozenset(map(_capability, self.capabilities)))
        object.__setattr__(self, "provider_ids", _ids(self.provider_ids))

    def answers_as(self, provider_id: str) -> int:
        """How well `provider_id` fits this model: length of the id that matches, 0 for none."""
        if provider_id in self.provider_ids:
            # What it is a dated form of is shorter.
            return len(provider_id)
        if not self.provider_ids:
            return 0
        return max([len(own) for own in self.provider_ids if _is_dated(provider_id, own)], default=0)

    def accepts(self, binding: Binding, *, name: str) -> bool:
        """Whether a request to this model, called `name`, may carry `binding` unchanged."""
        holder = binding.holder
        if binding.reach is BindingReach.DIALECT:
            return bool(holder) and (self.dialect == holder or self.dialect.startswith(f"{holder}-"))
        own = name if binding.reach is BindingReach.MODEL else self.account
        return bool(own) and holder == own


def _capability(value: str) -> Capability:
    try:
        return Capability(value)
    except ValueError:
        known = ", ".join(repr(one.value) for one in Capability)
        raise ConfigurationError(key="capabilities", value=value, rule=f"choose among {known}.") from None


def _ids(given: object) -> frozenset[str]:
    # A text is a collection of texts too, and never meant as one here.
    ids = cast("Collection[object]", given) if isinstance(given, _COLLECTIONS) else None
    if ids is None or not all(isinstance(one, str) and one for one in ids):
        raise ConfigurationError(key="provider_ids", value=given, rule="give a set of ids, such as {'gpt-5-mini-eu'}.")
    return frozenset(cast("Collection[str]", ids))


def _is_dated(answered: str, asked: str) -> bool:
    return answered.startswith(asked) and _SUFFIX.fullmatch(answered[len(asked) :]) is not None


def route_of(provider_id: str, specs: Mapping[ModelName, ModelSpec], *, chosen: ModelName | None = None) -> ModelName | None:
    """Find the route that answers as `provider_id`.

    Two routes may share one provider id (two efforts of one model); `chosen` wins a tie.

    Returns:
        The route whose id fits best, or `None` when none fits.
    """
    names = routes_of(provider_id, specs)
    return None if not names else chosen if chosen in names else names[0]


def routes_of(provider_id: str, specs: Mapping[ModelName, ModelSpec]) -> tuple[ModelName, ...]:
    """Find the routes that answer as `provider_id`, those whose ids fit best; several where they share an id."""
    best, names = 1, list[ModelName]()
    for name, spec in specs.items():
        fit = spec.answers_as(provider_id)
        if fit > best:
            best, names = fit, [name]
        elif fit == best:
            names.append(name)
    return tuple(names)
