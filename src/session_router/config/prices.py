"""Settings -> the prices of every model, and how its prompts are cached. What needs two settings at once is checked here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from session_router.config.environment import dotted
from session_router.config.files import beside
from session_router.config.litellm_prices import PriceList
from session_router.config.problems import HIDDEN, did_you_mean, shown, stated_at
from session_router.core.prefix import PromptCache
from session_router.core.pricing import Prices
from session_router.errors import ConfigurationError
from session_router.files.paths import path_of

if TYPE_CHECKING:
    from session_router.config.environment import Layers, Path
    from session_router.config.schema import ModelSection, PromptCacheSection, Settings

_CAPACITY = ("capacity_tokens", "tokens_per_second")


@dataclass(frozen=True, slots=True, kw_only=True)
class Priced:
    """What one model costs.

    Attributes:
        prices: Its prices.
        prompt_cache: How its provider caches prompts.
        source: File or variable that states the prices.
        listed_as: Its id in the price list; empty where the prices are the model's own.
        dearer_above: Tokens above which the price list has dearer rates, which are not used; `None` for never.
    """

    prices: Prices
    prompt_cache: PromptCache
    source: str
    listed_as: str = ""
    dearer_above: int | None = None


def build_prices(settings: Settings, layers: Layers) -> tuple[dict[str, Priced], list[ConfigurationError]]:
    """Find the prices of every model.

    Returns:
        The prices by model; and what is wrong: a model without a price, or with two, or a cache described twice.
    """
    problems = [
        _problem(layers, ("prices", name), "(a table)", f"there is no model of this name; {did_you_mean(name, settings.models)}")
        for name in settings.prices
        if name not in settings.models
    ]
    price_list: PriceList | None = None
    if settings.price_file is not None:
        try:
            price_list = PriceList.read(path_of(beside(layers.source, settings.price_file), key="price_file"))
        except ConfigurationError as error:
            # Alone: every model that it should price would be one more error.
            return {}, [*problems, _problem(layers, ("price_file",), error.value, error.rule)]
    priced: dict[str, Priced] = {}
    for name, section in settings.models.items():
        try:
            cache = build_prompt_cache(section.prompt_cache, name, layers)
            priced[name] = _priced(settings, name, cache, price_list, layers)
        except ConfigurationError as error:
            problems.append(error)
    return priced, problems


def build_prompt_cache(section: PromptCacheSection, name: str, layers: Layers) -> PromptCache:
    """Describe how the provider of the model `name` caches.

    Raises:
        ConfigurationError: The time to live is stated twice, or by halves.
    """
    stated = {key: value for key, value in section.model_dump(exclude_unset=True).items() if value is not None}
    capacity = [key for key in _CAPACITY if key in stated]
    path = ("models", name, "prompt_cache")
    for key in _CAPACITY:
        if capacity and key not in stated:
            rule = f"`{capacity[0]}` needs it: a time to live is capacity over tokens a second."
            raise _problem(layers, (*path, key), None, rule)
    if capacity and "seconds_to_live" in stated:
        rule = "`capacity_tokens` and `tokens_per_second` state it too; keep one of the two."
        raise _problem(layers, (*path, "seconds_to_live"), stated["seconds_to_live"], rule)
    try:
        return PromptCache.least_recently_used(**stated) if capacity else PromptCache(**stated)
    except ConfigurationError as error:
        raise _problem(layers, (*path, error.key.rpartition(".")[2]), error.value, error.rule) from None


def _priced(settings: Settings, name: str, cache: PromptCache, price_list: PriceList | None, layers: Layers) -> Priced:
    section = settings.models[name]
    own = section.prices or settings.prices.get(name)
    path: Path = ("models", name, "prices") if section.prices is not None else ("prices", name)
    if section.prices is not None and name in settings.prices:
        rule = f"[models.{name}.prices] states the prices too; keep one of the two."
        raise _problem(layers, ("prices", name), "(a table)", rule)
    if own is not None:
        if section.priced_as is not None:
            rule = f"[{dotted(path)}] states the prices too; keep one of the two."
            raise _problem(layers, ("models", name, "priced_as"), section.priced_as, rule)
        with stated_at(path, layers):
            prices = Prices(**own.model_dump())
        return Priced(prices=prices, prompt_cache=cache, source=layers.source_of(path) or "")
    if price_list is None:
        rule = f"give [models.{name}.prices] with `input` and `output`, US dollars per 1,000,000 tokens, or name a `price_file`."
        raise _problem(layers, ("models", name, "prices"), None, rule)
    key, model = _asked(section, name, layers)
    try:
        listed_as = price_list.id_of(model, key=dotted(key), stated_in=layers.source_of(key))
    except ConfigurationError:
        if shown(key, model, layers) != HIDDEN:
            raise
        rule = f"{price_list.source} has no price for it; give another id, or prices of the model's own."
        raise _problem(layers, key, HIDDEN, rule) from None
    return Priced(
        prices=price_list.prices_of(listed_as, wanted_by=f"models.{name}", seconds_to_live=cache.seconds_to_live),
        prompt_cache=cache,
        source=price_list.source,
        listed_as=listed_as,
        dearer_above=price_list.dearer_above(listed_as),
    )


def _asked(section: ModelSection, name: str, layers: Layers) -> tuple[Path, str]:
    """Return which model to look for in the price list, and the setting that says so."""
    for key, value in (("priced_as", section.priced_as), ("model", section.model)):
        if value is not None:
            return ("models", name, key), value
    rule = f"give the model's id in the price list, or [models.{name}.prices]."
    raise _problem(layers, ("models", name, "priced_as"), None, rule)


def _problem(layers: Layers, path: Path, value: object, rule: str) -> ConfigurationError:
    return ConfigurationError(key=dotted(path), value=shown(path, value, layers), rule=rule, source=layers.source_of(path))
