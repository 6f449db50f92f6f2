"""Prices and prompt caches in a configuration."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from session_router.config import load_prices, load_router
from session_router.core.prefix import PromptCache
from session_router.core.pricing import Prices
from session_router.errors import ConfigurationError, ConfigurationErrors

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LIST = {
    "small-1": {"litellm_provider": "openai", "mode": "chat", "input_cost_per_token": 3e-07, "output_cost_per_token": 2.4e-06},
    "azure/small-1": {"litellm_provider": "azure", "mode": "chat", "input_cost_per_token": 3.3e-07, "output_cost_per_token": 2.4e-06},
    "careful-2": {
        "litellm_provider": "anthropic",
        "input_cost_per_token": 3e-06,
        "output_cost_per_token": 1.5e-05,
        "cache_read_input_token_cost": 3e-07,
        "cache_creation_input_token_cost": 3.75e-06,
        "cache_creation_input_token_cost_above_1hr": 6e-06,
        "input_cost_per_token_above_200k_tokens": 6e-06,
    },
    "free": {"litellm_provider": "ollama", "input_cost_per_token": 0.0, "output_cost_per_token": 0.0},
}
GOOD = """
price_file = "prices.json"
[models]
fast = "openai:small-1"
[models.strong]
model = "anthropic:careful-2"
"""


@pytest.fixture
def write(write: Callable[..., Path]) -> Callable[..., Path]:
    write(json.dumps(LIST), "prices.json")
    return write


def refused(path: Path, environment: dict[str, str] | None = None, **overrides: Any) -> ConfigurationError:
    with pytest.raises(ConfigurationError) as caught:
        load_router(path, environment=environment or {}, **overrides)
    return caught.value


def prices_in(path: Path, environment: dict[str, str] | None = None, **overrides: Any) -> dict[str, Prices | None]:
    return {str(name): spec.prices for name, spec in load_router(path, environment=environment or {}, **overrides).models.items()}


def cache_in(path: Path, environment: dict[str, str] | None = None) -> PromptCache:
    return load_router(path, environment=environment or {}).models["fast"].prompt_cache  # type: ignore[index]


def with_cache(text: str) -> str:
    return f'[models.fast]\nmodel = "openai:small-1"\nprices = {{input = 1, output = 1}}\nprompt_cache = {{{text}}}\n'


def test_models_without_prices_of_their_own_have_those_of_the_list(write: Any) -> None:
    assert prices_in(write(GOOD)) == {
        "fast": Prices(input=0.3, output=2.4),
        "strong": Prices(input=3, cached_input=0.3, cache_write=3.75, output=15),
    }


def test_prices_of_a_model_s_own_come_first(write: Any) -> None:
    own = Prices(input=1, output=2)
    assert prices_in(write(GOOD + "prices = {input = 1, output = 2}\n"))["strong"] == own
    found = prices_in(write(GOOD + "[prices.strong]\ninput = 1\noutput = 2\n"))
    assert found == {"fast": Prices(input=0.3, output=2.4), "strong": own}


def test_a_model_may_be_priced_as_another(write: Any) -> None:
    text = GOOD.replace('fast = "openai:small-1"', 'fast = {model = "openai:my-tuned-model", priced_as = "azure/small-1"}')
    assert prices_in(write(text))["fast"] == Prices(input=0.33, output=2.4)


def test_a_chat_model_of_python_is_priced_as_the_file_says(write: Any) -> None:
    text = GOOD.replace('fast = "openai:small-1"', 'fast = {priced_as = "small-1"}')
    assert prices_in(write(text), models={"fast": object()})["fast"] == Prices(input=0.3, output=2.4)
    error = refused(write(GOOD.replace('fast = "openai:small-1"', "fast = {}")), models={"fast": object()})
    assert error.key == "models.fast.priced_as"
    assert "[models.fast.prices]" in error.rule


def test_yaml_and_the_environment_say_the_same(write: Any) -> None:
    yaml = write("price_file: prices.json\nmodels: {fast: 'openai:small-1', strong: 'anthropic:careful-2'}\n", "router.yaml")
    assert prices_in(yaml) == prices_in(write(GOOD))
    bare = write(GOOD.replace('price_file = "prices.json"', ""))
    environment = {"SESSION_ROUTER__PRICE_FILE": "prices.json", "SESSION_ROUTER__MODELS__FAST__PRICED_AS": "azure/small-1"}
    assert prices_in(bare, environment)["fast"] == Prices(input=0.33, output=2.4)
    assert prices_in(write(GOOD.replace("prices.json", "${LIST}")), {"LIST": "prices.json"}) == prices_in(write(GOOD))


def test_a_cache_of_an_hour_is_written_at_the_price_of_an_hour(write: Any) -> None:
    strong = prices_in(write(GOOD + "prompt_cache = {seconds_to_live = 3600}\n"))["strong"]
    assert strong == Prices(input=3, cached_input=0.3, cache_write=6, output=15)


@pytest.mark.parametrize(
    ("change", "key", "value", "rule"),
    [
        (("openai:small-1", "openai:smal-1"), "models.fast.model", "openai:smal-1", "tried 'openai/smal-1', 'smal-1', "),
        (("openai:small-1", "openai:smal-1"), "models.fast.model", "openai:smal-1", "near it are 'small-1'"),
        (("openai:small-1", "openai:smal-1"), "models.fast.model", "openai:smal-1", "prices.json has no price for it"),
        (("anthropic:careful-2", "openai:careful-2"), "models.strong.model", "openai:careful-2", "'careful-2' (a model of anthropic)"),
        (('"openai:small-1"', '{model = "x", priced_as = "smal-1"}'), "models.fast.priced_as", "smal-1", "near it are 'small-1'"),
        (
            ('"openai:small-1"', '{model = "x", priced_as = "small-1", prices = {input = 1, output = 1}}'),
            "models.fast.priced_as",
            "small-1",
            "[models.fast.prices] states the prices too; keep one of the two",
        ),
        (('price_file = "prices.json"', ""), "models.fast.prices", None, "or name a `price_file`"),
        (('price_file = "prices.json"', 'price_file = "elsewhere.json"'), "price_file", None, "cannot be read"),
        (('price_file = "prices.json"', 'price_file = "router.toml"'), "price_file", None, "no JSON"),
        (('price_file = "prices.json"', 'price_file = ""'), "price_file", "", "not be empty"),
        (('price_file = "prices.json"', "price_file = 7"), "price_file", 7, "give text"),
        (('price_file = "prices.json"', 'price_fil = "prices.json"'), "price_fil", "prices.json", "did you mean `price_file`?"),
    ],
)
def test_a_price_that_is_not_known_names_file_key_value_and_rule(
    write: Any, change: tuple[str, str], key: str, value: object, rule: str
) -> None:
    path = write(GOOD.replace(*change))
    error = refused(path)
    assert (error.key, error.source) == (key, str(path))
    assert error.value == value or value is None
    assert rule in error.rule


def test_a_price_of_nothing_is_not_known(write: Any, tmp_path: Path) -> None:
    error = refused(write(GOOD.replace("openai:small-1", "ollama:free")))
    assert (error.key, error.value, error.source) == ("free.input_cost_per_token", 0.0, str(tmp_path / "prices.json"))
    assert "`models.fast` needs its prices" in error.rule


def test_every_model_without_a_price_is_named(write: Any) -> None:
    error = refused(write(GOOD.replace("small-1", "smal-1").replace("careful-2", "carful-2")))
    assert isinstance(error, ConfigurationErrors)
    assert [one.key for one in error.errors] == ["models.fast.model", "models.strong.model"]


def test_a_list_that_cannot_be_read_is_one_error_and_not_one_a_model(write: Any) -> None:
    error = refused(write(GOOD.replace("prices.json", "elsewhere.json")))
    assert not isinstance(error, ConfigurationErrors)


def test_what_the_environment_holds_is_not_shown(write: Any) -> None:
    error = refused(write(GOOD.replace("openai:small-1", "${MODEL}")), {"MODEL": "openai:s3cr3t"})
    assert (error.key, error.value) == ("models.fast.model", "(hidden)")
    assert "s3cr3t" not in str(error)
    assert error.__cause__ is None
    error = refused(write(GOOD.replace("prices.json", "${LIST}")), {"LIST": "s3cr3t.json"})
    assert (error.key, error.value) == ("price_file", "(hidden)")
    assert "s3cr3t" not in str(error)


def test_it_is_told_where_each_price_comes_from(write: Any, tmp_path: Path) -> None:
    path = write(GOOD + '[models.own]\nmodel = "openai:x"\nprices = {input = 1, output = 2}\n')
    environment = {"SESSION_ROUTER__PRICES__OWN__INPUT": "7", "SESSION_ROUTER__PRICES__OWN__OUTPUT": "7"}
    found = load_prices(path, environment={})
    assert {name: (one.source, one.listed_as, one.dearer_above) for name, one in found.items()} == {
        "fast": (str(tmp_path / "prices.json"), "small-1", None),
        "strong": (str(tmp_path / "prices.json"), "careful-2", 200_000),
        "own": (str(path), "", None),
    }
    bare = write(GOOD + '[models.own]\nmodel = "openai:x"\n')
    assert "SESSION_ROUTER__PRICES__OWN" in load_prices(bare, environment=environment)["own"].source
    with pytest.raises(ConfigurationError, match="keep one of the two"):
        load_prices(write(GOOD + '[models.own]\nmodel = "openai:x"\nprices = {input = 1, output = 2}\n'), environment=environment)


@pytest.mark.parametrize(
    ("stated", "cache"),
    [
        ("", PromptCache()),
        ("block_tokens = 128", PromptCache(block_tokens=128)),
        ("seconds_to_live = 0", PromptCache(seconds_to_live=0)),
        (
            "seconds_to_live = 3600, minimum_tokens = 512, block_tokens = 2",
            PromptCache(seconds_to_live=3600, minimum_tokens=512, block_tokens=2),
        ),
        (
            "capacity_tokens = 600000, tokens_per_second = 1500",
            PromptCache.least_recently_used(capacity_tokens=600_000, tokens_per_second=1500),
        ),
        (
            "capacity_tokens = 600000, tokens_per_second = 0.5, block_tokens = 32, minimum_tokens = 64",
            PromptCache(seconds_to_live=1_200_000, block_tokens=32, minimum_tokens=64),
        ),
    ],
)
def test_a_prompt_cache_is_described(write: Any, stated: str, cache: PromptCache) -> None:
    assert cache_in(write(with_cache(stated))) == cache


def test_the_environment_describes_a_prompt_cache(write: Any) -> None:
    prefix = "SESSION_ROUTER__MODELS__FAST__PROMPT_CACHE__"
    environment = {f"{prefix}CAPACITY_TOKENS": "1000", f"{prefix}TOKENS_PER_SECOND": "10", f"{prefix}BLOCK_TOKENS": "8"}
    assert cache_in(write(with_cache("")), environment) == PromptCache(seconds_to_live=100, minimum_tokens=0, block_tokens=8)
    error = refused(write(with_cache("seconds_to_live = 300")), environment)
    assert (error.key, error.value) == ("models.fast.prompt_cache.seconds_to_live", 300)
    error = refused(write(with_cache("")), {f"{prefix}CAPACITY_TOKENS": "1000"})
    assert error.key == "models.fast.prompt_cache.tokens_per_second"


@pytest.mark.parametrize(
    ("stated", "key", "value", "rule"),
    [
        ("capacity_tokens = 1000", "tokens_per_second", None, "`capacity_tokens` needs it"),
        ("tokens_per_second = 10", "capacity_tokens", None, "`tokens_per_second` needs it"),
        ("tokens_per_second = 10, seconds_to_live = 300", "capacity_tokens", None, "`tokens_per_second` needs it"),
        (
            "capacity_tokens = 1000, tokens_per_second = 10, seconds_to_live = 300",
            "seconds_to_live",
            300,
            "`capacity_tokens` and `tokens_per_second` state it too; keep one of the two",
        ),
        ("capacity_tokens = 1000, tokens_per_second = 0", "tokens_per_second", 0, "> 0 (tokens a second)"),
        ("capacity_tokens = 1000, tokens_per_second = 5e-324", "tokens_per_second", 5e-324, "> 0"),
        ("capacity_tokens = 1.5, tokens_per_second = 1", "capacity_tokens", 1.5, "a whole number"),
        (f"minimum_tokens = {10**400}", "minimum_tokens", 10**400, ">= 0"),
        ("block_tokens = 0", "block_tokens", 0, ">= 1 (tokens)"),
        ("blok_tokens = 1", "blok_tokens", 1, "did you mean `block_tokens`?"),
    ],
)
def test_a_wrong_prompt_cache_names_file_key_value_and_rule(write: Any, stated: str, key: str, value: object, rule: str) -> None:
    path = write(with_cache(stated))
    error = refused(path)
    assert (error.key, error.value, error.source) == (f"models.fast.prompt_cache.{key}", value, str(path))
    assert rule in error.rule
