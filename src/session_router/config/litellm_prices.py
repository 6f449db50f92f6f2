"""LiteLLM's public price list -> `Prices`. The user brings the file; nothing is fetched.

The list is `model_prices_and_context_window.json` of https://github.com/BerriAI/litellm: one table a model, prices in US dollars
per token. What is read of it:

    input_cost_per_token               -> input
    output_cost_per_token              -> output
    cache_read_input_token_cost        -> cached_input
    cache_creation_input_token_cost    -> cache_write; `..._above_1hr` where prompts are cached for an hour
    tiered_pricing                     -> its first tier stands for the above, where they are missing

Other rates, for long requests (`..._above_200k_tokens`, further tiers) or other service tiers, are not read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from session_router.config.litellm_ids import litellm_ids, name_in
from session_router.config.problems import raised
from session_router.core.checking import check_kind
from session_router.core.pricing import TOKENS_PER_PRICE, Prices
from session_router.errors import ConfigurationError
from session_router.files.paths import path_of

if TYPE_CHECKING:
    import os
    from pathlib import Path

LARGEST_BYTES = 64 * 2**20
"""LiteLLM's list has a few MB."""

MOST_TOKENS = 10**12
AN_HOUR = 3600.0
NEAR_IDS = 5
NOT_MODELS = frozenset({"sample_spec", "fallback_generalizations"})
MODES = (None, "chat", "responses", "completion")
"""What the list calls models that answer with text; it does not always say."""

_ABOVE = re.compile(r"(?:input|output)_cost_per_token_above_(\d{1,9})k_tokens")

Entry: TypeAlias = Mapping[str, Any]


def prices_from_litellm(path: str | os.PathLike[str], names: Mapping[str, str] | Iterable[str]) -> dict[str, Prices]:
    """Read prices from a copy of LiteLLM's price list, `model_prices_and_context_window.json`.

        routes = {"fast": "openai:gpt-5-mini", "strong": "anthropic:claude-sonnet-4-6"}
        router = Router(routes, prices=prices_from_litellm("model_prices.json", routes))

    A model is found by its provider string, or by its id in the list, such as `azure/gpt-5-mini`. Where the list has several
    rates, the price is that of short requests, of the standard service tier, and of prompts that are cached for minutes.

    Args:
        path: The list.
        names: Models by route, or models alone.

    Returns:
        The prices by route; by model where models alone were given.

    Raises:
        ConfigurationError: The file cannot be read, or has no price for one of the models; `ConfigurationErrors` for several.
    """
    if isinstance(names, str) or not isinstance(names, Iterable):  # pyright: ignore[reportUnnecessaryIsInstance] -- callers are not all typed
        raise ConfigurationError(key="names", value=names, rule="give a list of models, or a mapping of routes to models.")
    asked = cast("Mapping[str, str]", names).items() if isinstance(names, Mapping) else [(name, name) for name in names]
    prices = PriceList.read(path_of(path, key="price_file"))
    found: dict[str, Prices] = {}
    problems: list[ConfigurationError] = []
    for route, model in asked:
        try:
            check_kind(model, str, key=f"names.{route}", rule="give a provider string, such as 'openai:gpt-5-mini'.")
            found[route] = prices.prices_of(prices.id_of(model, key=f"names.{route}"), wanted_by=f"names.{route}")
        except ConfigurationError as error:
            problems.append(error)
    if problems:
        raise raised(problems)
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceList:
    """A price list, read.

    Attributes:
        source: The file.
        entries: A table for each model, by id; unchecked, since a wrong one that nobody asks for does no harm.
    """

    source: str
    entries: Mapping[str, Entry]

    @classmethod
    def read(cls, path: Path) -> PriceList:
        """Read a list.

        Raises:
            ConfigurationError: There is no such file, it is too large, or it is no list.
        """
        try:
            table: object = json.loads(_bytes(path))
            entries = {name: cast("Entry", entry) for name, entry in _items(table) if isinstance(entry, dict) and name not in NOT_MODELS}
            if entries:
                return cls(source=str(path), entries=entries)
            rule = "it must hold a table for each model, as LiteLLM's list does."
        except json.JSONDecodeError as error:
            rule = f"it is no JSON: {error.msg} at line {error.lineno}, column {error.colno}."
        except UnicodeDecodeError as error:
            rule = f"it is no JSON: byte {error.start} is no text."
        except (ValueError, RecursionError):
            rule = "it is no price list: a number in it is too long, or its tables are too deep."
        except OSError as error:
            rule = f"it cannot be read ({error.strerror or error})."
        raise ConfigurationError(key="price_file", value=str(path), rule=rule)

    def id_of(self, model: str, *, key: str, stated_in: str | None = None) -> str:
        """Find a model.

        Args:
            model: A provider string such as `openai:gpt-5-mini`, or an id of the list.
            key: The setting that names it, for errors.
            stated_in: File or variable of that setting, for errors.

        Returns:
            Its id in the list.

        Raises:
            ConfigurationError: It has none there, or another provider's model has it.
        """
        tried: list[str] = []
        for name, owners in litellm_ids(model):
            found = self._named(name)
            if found is not None and (not owners or self._owner(found).startswith(owners)):
                return found
            tried.append(repr(name) if found is None else f"{name!r} (a model of {self._owner(found) or 'nobody'})")
        near = self.near(model)
        advice = f"near it are {', '.join(map(repr, near))}; " if near else ""
        rule = f"{self.source} has no price for it; tried {', '.join(tried)}; {advice}give the right id, or prices of the model's own."
        raise ConfigurationError(key=key, value=model, rule=rule, source=stated_in)

    def near(self, model: str) -> list[str]:
        """Return ids that `model` may stand for: its name at other providers, then names that look alike, its own provider's first."""
        import difflib

        wanted = name_in(model)
        owner = next(litellm_ids(model))[0].partition("/")[0]
        by_name: dict[str, list[str]] = {}
        for name in sorted(self.entries, key=lambda one: (not self._owner(one).startswith(owner), len(one), one)):
            by_name.setdefault(name_in(name), []).append(name)
        alike = difflib.get_close_matches(wanted, [one for one in by_name if one != wanted], n=NEAR_IDS)
        return [*by_name.get(wanted, ()), *(by_name[one][0] for one in alike)][:NEAR_IDS]

    def prices_of(self, name: str, *, wanted_by: str, seconds_to_live: float = 0.0) -> Prices:
        """Read the prices of one model.

        Args:
            name: Its id in the list.
            wanted_by: The setting that needs them, for errors.
            seconds_to_live: How long its prompts are cached: from an hour on, writing costs what it does for an hour.

        Raises:
            ConfigurationError: It does not answer with text; or a price is missing, 0, or no price at all.
        """
        table = _Table(name=name, entry=_with_first_tier(self.entries[name]), source=self.source, wanted_by=wanted_by)
        mode = table.entry.get("mode")
        if mode not in MODES:
            raise table.wrong(key="mode", value=mode, rule="it does not answer with text")
        plain, output = table.stated("input_cost_per_token"), table.stated("output_cost_per_token")
        write = table.price("cache_creation_input_token_cost")
        if seconds_to_live >= AN_HOUR:
            write = table.price("cache_creation_input_token_cost_above_1hr") or write
        return Prices(
            input=plain,
            output=output,
            cached_input=table.price("cache_read_input_token_cost"),
            # The list has 0 where writing adds nothing to the price of reading. Taken at its word, reading would be free.
            cache_write=write if write is not None and write > plain else None,
        )

    def dearer_above(self, name: str) -> int | None:
        """Return from how many tokens on a request costs more than `prices_of` says; `None` when it never does."""
        entry = self.entries[name]
        steps = [1000 * int(match[1]) for match in map(_ABOVE.fullmatch, entry) if match]
        for tier in _tiers(entry)[1:]:
            reach = tier.get("range")
            start: object = cast("list[object]", reach)[0] if isinstance(reach, list) and reach else None
            if isinstance(start, int | float) and 0 <= start <= MOST_TOKENS:
                steps.append(int(start))
        return min(steps, default=None)

    def _owner(self, name: str) -> str:
        return str(self.entries[name].get("litellm_provider", ""))

    def _named(self, name: str) -> str | None:
        if name in self.entries:
            return name
        for one, entry in self.entries.items():
            aliases = entry.get("aliases")
            if isinstance(aliases, list) and name in aliases:
                return one
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Table:
    """One model's table, and who asks for it."""

    name: str
    entry: Entry
    source: str
    wanted_by: str

    def price(self, key: str) -> float | None:
        """US dollars per 1,000,000 tokens; `None` when the list does not say."""
        value = self.entry.get(key)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1:
            raise self.wrong(key=key, value=value, rule="give US dollars per token, in [0, 1); not per 1,000,000 tokens")
        # Exact: in binary, 3e-07 a token would be 0.3 and a bit.
        return float(Decimal(repr(value)) * TOKENS_PER_PRICE)

    def stated(self, key: str) -> float:
        """As `price`, where there must be one: a list has 0 both for what is free and for what it does not know."""
        price = self.price(key)
        if not price:
            raise self.wrong(key=key, value=price, rule="the price is not known from it")
        return price

    def wrong(self, *, key: str, value: object, rule: str) -> ConfigurationError:
        rule = f"{rule}. `{self.wanted_by}` needs its prices: give another id, or prices of the model's own, 0 if it is free."
        return ConfigurationError(key=f"{self.name}.{key}", value=value, rule=rule, source=self.source)


def _bytes(path: Path) -> bytes:
    with path.open("rb") as file:
        content = file.read(LARGEST_BYTES + 1)
    if len(content) > LARGEST_BYTES:
        raise OSError(None, f"it has more than {LARGEST_BYTES / 2**20:g} MiB, and LiteLLM's list has a few")
    return content


def _items(table: object) -> Iterable[tuple[str, object]]:
    return cast("dict[str, object]", table).items() if isinstance(table, dict) else ()


def _with_first_tier(entry: Entry) -> Entry:
    tiers = _tiers(entry)
    return {**entry, **tiers[0]} if tiers and entry.get("input_cost_per_token") is None else entry


def _tiers(entry: Entry) -> list[Entry]:
    tiers = entry.get("tiered_pricing")
    if not isinstance(tiers, list):
        return []
    return [cast("Entry", tier) for tier in cast("list[object]", tiers) if isinstance(tier, dict)]
