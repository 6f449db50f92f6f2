"""A clearance that names an address holds there, and nowhere else."""

from __future__ import annotations

import logging

import pytest
from langchain_anthropic import ChatAnthropic
from langchain_core.language_models.fake_chat_models import FakeListChatModel
from langchain_openai import AzureChatOpenAI, ChatOpenAI

from session_router.core.governance import Clearance, Level
from session_router.core.model import ModelName, ModelSpec
from session_router_langchain.endpoints import attested, endpoint_of, is_within

EUROPE = "https://eu.api.openai.com/v1"
FAST = ModelName("fast")


def test_the_address_is_the_clients() -> None:
    assert endpoint_of(ChatOpenAI(model="gpt-5-mini", api_key="k", base_url=EUROPE)).startswith("https://eu.api.openai.com/v1")
    assert endpoint_of(ChatOpenAI(model="gpt-5-mini", api_key="k")).startswith("https://api.openai.com/v1")
    azure = AzureChatOpenAI(
        model="m", api_key="k", azure_endpoint="https://mine.openai.azure.com", api_version="2025-01-01", azure_deployment="d"
    )
    assert endpoint_of(azure).startswith("https://mine.openai.azure.com/")
    assert endpoint_of(ChatAnthropic(model="claude-sonnet-4-6", api_key="k")) == "https://api.anthropic.com"
    assert endpoint_of(FakeListChatModel(responses=["x"])) == ""


@pytest.mark.parametrize(
    ("found", "stated"),
    [
        (EUROPE, EUROPE),
        (EUROPE + "/", "https://EU.api.openai.com"),
        ("https://eu.api.openai.com:443/v1", EUROPE),
        ("http://127.0.0.1:8000/v1/", "http://127.0.0.1:8000"),
    ],
)
def test_the_same_address_is_within(found: str, stated: str) -> None:
    assert is_within(found, stated)


@pytest.mark.parametrize(
    ("found", "stated"),
    [
        ("https://api.openai.com/v1", EUROPE),
        ("http://eu.api.openai.com/v1", EUROPE),
        ("https://eu.api.openai.com:8443/v1", EUROPE),
        ("https://eu.api.openai.com/v2", EUROPE),
        ("https://eu.api.openai.com", EUROPE),
        ("https://eu.api.openai.com.evil.example/v1", EUROPE),
        ("https://eu.api.openai.com@evil.example/v1", EUROPE),
        ("https://eu.api.openai.com/v1/../v2", EUROPE),
        ("", EUROPE),
        ("eu.api.openai.com/v1", EUROPE),
        (EUROPE, ""),
        ("https://eu.api.openai.com:x/v1", EUROPE),
    ],
)
def test_another_address_is_not(found: str, stated: str) -> None:
    assert not is_within(found, stated)


def test_a_clearance_for_another_address_counts_for_nothing(caplog: pytest.LogCaptureFixture) -> None:
    cleared = ModelSpec(model="x", clearance=Clearance(max_level=Level.CONFIDENTIAL, endpoint=EUROPE))
    there, elsewhere = (ChatOpenAI(model="gpt-5-mini", api_key="k", base_url=base) for base in (EUROPE, None))
    assert attested(FAST, cleared, there) is cleared
    with caplog.at_level(logging.WARNING):
        assert attested(FAST, cleared, elsewhere).clearance is None
        assert attested(FAST, cleared, FakeListChatModel(responses=["x"])).clearance is None
    assert "`fast` is cleared at https://eu.api.openai.com/v1 and sends to https://api.openai.com/v1" in caplog.text
    assert "an unknown address" in caplog.text


def test_a_clearance_that_names_no_address_holds_anywhere() -> None:
    for spec in (ModelSpec(model="x"), ModelSpec(model="x", clearance=Clearance())):
        assert attested(FAST, spec, FakeListChatModel(responses=["x"])) is spec
