"""Prices from a list in the shape of LiteLLM's. Every list here is made up."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from session_router import Prices, Router, prices_from_litellm
from session_router.config.litellm_ids import PROVIDERS
from session_router.config.litellm_prices import LARGEST_BYTES, PriceList
from session_router.errors import ConfigurationError, ConfigurationErrors

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def table(provider: str = "openai", *, reading: object = 3e-07, writing: object = 2.4e-06, **more: object) -> dict[str, object]:
    return {
        "litellm_provider": provider,
        "mode": "chat",
        "input_cost_per_token": reading,
        "output_cost_per_token": writing,
        "max_input_tokens": 100_000,
        "supports_vision": True,
        **more,
    }


LIST: dict[str, object] = {
    "sample_spec": table("one of many", reading=0.0, max_input_tokens="as many as it takes"),
    "fallback_generalizations": {"rules": []},
    "small-1": table(cache_read_input_token_cost=3e-08),
    "azure/small-1": table("azure", reading=3.3e-07),
    "careful-2": table(
        "anthropic",
        reading=3e-06,
        writing=1.5e-05,
        cache_read_input_token_cost=3e-07,
        cache_creation_input_token_cost=3.75e-06,
        cache_creation_input_token_cost_above_1hr=6e-06,
        aliases=["careful-2-20260101"],
    ),
    "gemini/wide-3": table("gemini", reading=1.25e-06, input_cost_per_token_above_200k_tokens=2.5e-06),
    "careful.small-v1:0": table("bedrock_converse"),
    "stepped": {
        "litellm_provider": "dashscope",
        "mode": "chat",
        "tiered_pricing": [
            {"range": [0, 256_000.0], "input_cost_per_token": 4e-07, "output_cost_per_token": 1.2e-06},
            {"range": [256_000.0, 1e6], "input_cost_per_token": 1.2e-06, "output_cost_per_token": 3.6e-06},
        ],
    },
    "words-to-numbers": table(mode="embedding", writing=0.0),
    "painter": {"litellm_provider": "openai", "mode": "chat", "output_cost_per_image": 0.04},
    "unknown": table(reading=0.0, writing=0.0),
    "odd": "not a table",
}


@pytest.fixture
def write(tmp_path: Path) -> Callable[[object], Path]:
    def write(content: object) -> Path:
        path = tmp_path / "prices.json"
        path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
        return path

    return write


def refused(path: Path, *names: Any) -> ConfigurationError:
    with pytest.raises(ConfigurationError) as caught:
        prices_from_litellm(path, names)
    return caught.value


def test_a_router_is_priced_by_its_routes(write: Any) -> None:
    routes = {"fast": "openai:small-1", "strong": "anthropic:careful-2"}
    router = Router(routes, prices=prices_from_litellm(write(LIST), routes))
    assert router.models["fast"].prices == Prices(input=0.3, cached_input=0.03, output=2.4)  # type: ignore[index]
    assert router.models["strong"].prices == Prices(input=3, cached_input=0.3, cache_write=3.75, output=15)  # type: ignore[index]


@pytest.mark.parametrize(
    ("model", "found"),
    [
        ("openai:small-1", "small-1"),
        ("small-1", "small-1"),
        ("azure_openai:small-1", "azure/small-1"),
        ("azure/small-1", "azure/small-1"),
        ("litellm:azure/small-1", "azure/small-1"),
        ("litellm:small-1", "small-1"),
        ("anthropic:careful-2", "careful-2"),
        ("anthropic:careful-2-20260101", "careful-2"),
        ("google_genai:wide-3", "gemini/wide-3"),
        ("bedrock_converse:careful.small-v1:0", "careful.small-v1:0"),
        ("bedrock:careful.small-v1:0", "careful.small-v1:0"),
        ("careful.small-v1:0", "careful.small-v1:0"),
    ],
)
def test_a_model_is_found_by_its_provider_string_or_its_id(write: Any, model: str, found: str) -> None:
    assert PriceList.read(write(LIST)).id_of(model, key="model") == found
    assert list(prices_from_litellm(write(LIST), [model])) == [model]


@pytest.mark.parametrize(
    "model", ["google_genai:small-1", "azure_openai:careful-2", "bedrock:careful-2", "azure_openai:small-2", "odd", "sample_spec"]
)
def test_another_provider_s_price_is_not_taken(write: Any, model: str) -> None:
    path = write(LIST)
    error = refused(path, model)
    assert (error.key, error.value) == (f"names.{model}", model)
    assert f"{path} has no price for it; tried " in error.rule


def test_an_unknown_model_names_the_file_what_was_tried_and_what_is_near(write: Any) -> None:
    path = write(LIST)
    assert str(refused(path, "azure_openai:small-1x")) == (
        f"`names.azure_openai:small-1x` is 'azure_openai:small-1x'; {path} has no price for it; "
        "tried 'azure/small-1x', 'small-1x', 'azure_openai:small-1x'; near it are 'azure/small-1'; "
        "give the right id, or prices of the model's own."
    )
    assert "tried 'gemini/small-1', 'small-1' (a model of openai), " in refused(path, "google_genai:small-1").rule
    assert "near it are 'small-1'; " in refused(path, "openai:small-1x").rule
    assert "near it are 'small-1', 'azure/small-1'; " in refused(path, "google_genai:small-1").rule
    assert "near" not in refused(path, "qqqqqqqqq").rule


def test_every_model_without_a_price_is_named(write: Any) -> None:
    error = refused(write(LIST), "openai:small-1", "openai:none-1", "openai:none-2", 7)
    assert isinstance(error, ConfigurationErrors)
    assert [one.key for one in error.errors] == ["names.openai:none-1", "names.openai:none-2", "names.7"]


def test_names_are_several(write: Any) -> None:
    with pytest.raises(ConfigurationError, match="give a list of models"):
        prices_from_litellm(write(LIST), "openai:small-1")


@pytest.mark.parametrize(
    ("stated", "write_price"),
    [(None, None), (0, None), (0.0, None), (1.5e-07, None), (3e-07, None), (3.75e-07, 0.375)],
)
def test_a_price_of_writing_that_adds_nothing_is_none(write: Any, stated: object, write_price: float | None) -> None:
    """Taken at its word, 0 would make everything that is not cached yet free."""
    prices = prices_from_litellm(write({"small-1": table(cache_creation_input_token_cost=stated)}), ["small-1"])
    assert prices["small-1"].cache_write == write_price


def test_writing_for_an_hour_has_its_own_price(write: Any) -> None:
    prices = PriceList.read(write(LIST))
    assert [prices.prices_of("careful-2", wanted_by="m", seconds_to_live=one).cache_write for one in (0, 300, 3_599, 3_600)] == [
        3.75,
        3.75,
        3.75,
        6,
    ]
    assert prices.prices_of("small-1", wanted_by="m", seconds_to_live=86_400).cache_write is None


def test_prices_are_those_of_short_requests(write: Any) -> None:
    prices = PriceList.read(write(LIST))
    assert prices.prices_of("gemini/wide-3", wanted_by="m").input == 1.25
    assert prices.prices_of("stepped", wanted_by="m") == Prices(input=0.4, output=1.2)
    assert [prices.dearer_above(name) for name in ("small-1", "gemini/wide-3", "stepped")] == [None, 200_000, 256_000]
    tiers = [{}, {"range": [math.nan]}, {"range": [math.inf]}, {"range": [10**400]}, {"range": []}, {"range": 7}, {"range": [9]}]
    assert PriceList(source="", entries={"a": {"tiered_pricing": tiers}}).dearer_above("a") == 9


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("unknown", "input_cost_per_token"),
        ("painter", "input_cost_per_token"),
        ("words-to-numbers", "mode"),
    ],
)
def test_a_price_that_is_unknown_or_of_something_else_is_refused(write: Any, name: str, key: str) -> None:
    path = write(LIST)
    error = refused(path, f"openai:{name}")
    assert (error.key, error.source) == (f"{name}.{key}", str(path))
    assert f"`names.openai:{name}` needs its prices" in error.rule


@pytest.mark.parametrize(
    "key", ["input_cost_per_token", "output_cost_per_token", "cache_read_input_token_cost", "cache_creation_input_token_cost"]
)
@pytest.mark.parametrize("value", [-1e-07, math.nan, math.inf, "3e-07", True, [], {}, 10**400, 2.5])
def test_a_wrong_number_names_file_model_key_value_and_rule(write: Any, key: str, value: object) -> None:
    path = write({"small-1": table(**{key: value}), "small-2": table()})
    error = refused(path, "small-1")
    assert (error.key, error.source) == (f"small-1.{key}", str(path))
    assert error.value == value or value != value  # noqa: PLR0124 -- what is no number equals nothing
    assert "give US dollars per token, in [0, 1)" in error.rule
    # What nobody asks for does no harm.
    assert prices_from_litellm(path, ["small-2"])["small-2"].input == 0.3


@pytest.mark.parametrize(
    ("content", "rule"),
    [
        (b"", "no JSON: Expecting value at line 1"),
        (b'{"small-1": {\n"input_cost_per_token": }', "no JSON: Expecting value at line 2"),
        (b"\xff\xfe\x00", "no JSON"),
        (b"\x80{}", "no JSON: byte 0 is no text"),
        (b"[]", "a table for each model"),
        (b"{}", "a table for each model"),
        (b'{"a": 1}', "a table for each model"),
        (b'{"sample_spec": {}}', "a table for each model"),
        (b"[" * 100_000, "too deep"),
        (b'{"a": {"b": ' + b"9" * 5_000 + b"}}", "too long"),
        (b" " * (LARGEST_BYTES + 1), "more than 64 MiB"),
    ],
    ids=["empty", "broken", "utf-16", "bytes", "list", "nothing", "number", "sample", "deep", "digits", "huge"],
)
def test_a_file_that_is_no_list_says_so(write: Any, content: bytes, rule: str) -> None:
    path = write(content)
    error = refused(path, "small-1")
    assert (error.key, error.value) == ("price_file", str(path))
    assert rule in error.rule


@pytest.mark.parametrize("name", ["missing.json", "."])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, name: str) -> None:
    error = refused(tmp_path / name, "small-1")
    assert (error.key, error.value) == ("price_file", str(tmp_path / name))
    assert "cannot be read" in error.rule


def test_no_provider_is_renamed_to_itself() -> None:
    assert not [name for name, owners in PROVIDERS.items() if owners == (name,)]


words = st.text("ab1:/", max_size=5)
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=6,
)
READ_KEYS = (
    "input_cost_per_token",
    "output_cost_per_token",
    "cache_read_input_token_cost",
    "cache_creation_input_token_cost",
    "mode",
    "litellm_provider",
    "aliases",
    "tiered_pricing",
    "input_cost_per_token_above_200k_tokens",
)


@given(
    entry=st.dictionaries(st.sampled_from(READ_KEYS), anything, max_size=6),
    good=st.booleans(),
    model=st.sampled_from(["small-1", "openai:small-1", "x:small-1"]),
)
def test_a_list_with_anything_in_it_gives_prices_or_one_error(entry: dict[str, Any], good: bool, model: str) -> None:
    prices = PriceList(source="prices.json", entries={"small-1": {**table(), **entry} if good else entry})
    try:
        found = prices.prices_of(prices.id_of(model, key="model"), wanted_by="model")
    except ConfigurationError as error:
        assert error.rule  # noqa: PT017 -- either is right
    else:
        assert found.input > 0
        assert found.output > 0
    above = prices.dearer_above("small-1")
    assert above is None or isinstance(above, int)
