"""A wrong setting from Python is an error of our tree that names the setting, the value and the rule."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from session_router import (
    AuditFile,
    Clearance,
    MemorySessionStore,
    ModelSpec,
    Policy,
    Prices,
    Router,
    SemanticCache,
    SQLiteSessionStore,
    Tag,
    load_router,
    prices_from_litellm,
)
from session_router.cache.sqlite_rows import SQLiteEntryRows
from session_router.core.governance import Level
from session_router.core.prefix import PromptCache
from session_router.errors import ConfigurationError
from session_router.testing import providers
from session_router_langchain import SessionRouterChatModel

if TYPE_CHECKING:
    from pathlib import Path

PRICES = Prices(input=1.0, output=2.0)
ROUTES = {"fast": ModelSpec(model="openai:sim-fast", prices=PRICES)}


class Watching:
    """An observer, once somebody makes one."""

    def on_decision(self, decision: object) -> None: ...

    def on_outcome(self, decision: object, outcome: object) -> None: ...


@pytest.mark.parametrize(
    ("make", "key"),
    [
        (lambda: Policy(stake="x"), "policy.stake"),  # type: ignore[arg-type]
        (lambda: Policy(stake=None), "policy.stake"),  # type: ignore[arg-type]
        (lambda: Policy(stake=True), "policy.stake"),
        (lambda: Policy(stake=float("nan")), "policy.stake"),
        (lambda: Policy(stake=-1), "policy.stake"),
        (lambda: Policy(margin="0.1"), "policy.margin"),  # type: ignore[arg-type]
        (lambda: Policy(margin=1.0), "policy.margin"),
        (lambda: Policy(output_tokens="x"), "policy.output_tokens"),  # type: ignore[arg-type]
        (lambda: Policy(output_tokens=1.5), "policy.output_tokens"),  # type: ignore[arg-type]
        (lambda: Policy(default=["x"]), "policy.default"),  # type: ignore[arg-type]
        (lambda: Policy(unlabelled="top"), "policy.unlabelled"),  # type: ignore[arg-type]
        (lambda: Policy(on_unportable="leave"), "policy.on_unportable"),  # type: ignore[arg-type]
        (lambda: PromptCache(seconds_to_live="x"), "prompt_cache.seconds_to_live"),  # type: ignore[arg-type]
        (lambda: PromptCache(minimum_tokens=-1), "prompt_cache.minimum_tokens"),
        (lambda: PromptCache(minimum_tokens=10**400), "prompt_cache.minimum_tokens"),
        (lambda: PromptCache(block_tokens=0), "prompt_cache.block_tokens"),
        (lambda: PromptCache.least_recently_used(capacity_tokens=-1, tokens_per_second=1), "prompt_cache.capacity_tokens"),
        (lambda: PromptCache.least_recently_used(capacity_tokens=1, tokens_per_second=0), "prompt_cache.tokens_per_second"),
        (lambda: prices_from_litellm("nowhere.json", ["x"]), "price_file"),
        (lambda: prices_from_litellm("nowhere.json", "x"), "names"),
        (lambda: prices_from_litellm("nowhere.json", 5), "names"),  # type: ignore[arg-type]
        (lambda: prices_from_litellm(5, ["x"]), "price_file"),  # type: ignore[arg-type]
        (lambda: Prices(input="1", output=1), "prices.input"),  # type: ignore[arg-type]
        (lambda: Prices(input=1, output=-1), "prices.output"),
        (lambda: ModelSpec(context_window="x"), "context_window"),  # type: ignore[arg-type]
        (lambda: ModelSpec(context_window=0), "context_window"),
        (lambda: ModelSpec(skill="x"), "skill"),  # type: ignore[arg-type]
        (lambda: ModelSpec(skill=1.1), "skill"),
        (lambda: ModelSpec(prices=(1, 2)), "prices"),  # type: ignore[arg-type]
        (lambda: ModelSpec(clearance="all"), "clearance"),  # type: ignore[arg-type]
        (lambda: ModelSpec(capabilities={"fly"}), "capabilities"),  # type: ignore[arg-type]
        (lambda: ModelSpec(provider_ids="gpt-5-mini"), "provider_ids"),  # type: ignore[arg-type]
        (lambda: ModelSpec(provider_ids={""}), "provider_ids"),  # type: ignore[arg-type]
        (lambda: ModelSpec(provider_ids=[5]), "provider_ids"),  # type: ignore[arg-type]
        (lambda: ModelSpec(dialect=5), "dialect"),  # type: ignore[arg-type]
        (lambda: ModelSpec(account=5), "account"),  # type: ignore[arg-type]
        (lambda: ModelSpec(source=5), "source"),  # type: ignore[arg-type]
        (lambda: ModelSpec(settings="max_tokens"), "settings"),  # type: ignore[arg-type]
        (lambda: ModelSpec(prompt_cache=300), "prompt_cache"),  # type: ignore[arg-type]
        (lambda: Tag(level=9), "tag.level"),  # type: ignore[arg-type]
        (lambda: Clearance(max_level=9), "clearance.max_level"),  # type: ignore[arg-type]
        (lambda: Router({}), "routes"),
        (lambda: Router(["openai:sim-fast"]), "routes"),  # type: ignore[arg-type]
        (lambda: Router({"": ROUTES["fast"]}), "routes"),
        (lambda: Router({"fast": None}), "routes.fast"),
        (lambda: Router({"fast": "openai:sim-fast"}), "prices.fast"),
        (lambda: Router(ROUTES, prices={"slow": PRICES}), "prices"),
        (lambda: Router({"fast": "openai:sim-fast"}, prices={"fast": (1, 2)}), "prices.fast"),  # type: ignore[dict-item]
        (lambda: Router(ROUTES, prices={"fast": (1, 2)}), "prices.fast"),  # type: ignore[dict-item]
        (lambda: Router(ROUTES, policy={"stake": 1}), "policy"),  # type: ignore[arg-type]
        (lambda: Router(ROUTES, policy=Policy(default="slow")), "policy.default"),
        (lambda: Router(ROUTES, key="k" * 40), "key"),  # type: ignore[arg-type]
        (lambda: Router(ROUTES, key=b"k"), "key"),
        (lambda: Router(ROUTES, key=b""), "key"),
        (lambda: Router(ROUTES, store="x.db"), "store"),  # type: ignore[arg-type]
        (lambda: Router(ROUTES, scorer=len), "scorer"),  # type: ignore[arg-type]
        (lambda: Router(ROUTES, cache="redis"), "cache"),  # type: ignore[arg-type]
        (lambda: Router(ROUTES, audit="audit.log"), "audit"),  # type: ignore[arg-type]
        (lambda: Router(ROUTES, audit=AuditFile), "audit"),  # type: ignore[arg-type]
        (lambda: Router(ROUTES, store=MemorySessionStore), "store"),  # type: ignore[arg-type]
        (lambda: Router(ROUTES, observers=[Watching]), "observers"),  # type: ignore[list-item]
        (lambda: Router(ROUTES, clock=5), "clock"),  # type: ignore[arg-type]
        (lambda: Router(ROUTES, observers=5), "observers"),  # type: ignore[arg-type]
        (lambda: Router(ROUTES, observers="x"), "observers"),  # type: ignore[arg-type]
        (lambda: Router(ROUTES, observers=[5]), "observers"),  # type: ignore[list-item]
        (lambda: Router(ROUTES, detectors=5), "detectors"),  # type: ignore[arg-type]
        (lambda: Router(ROUTES, detectors=[5]), "detectors"),  # type: ignore[list-item]
        (lambda: SessionRouterChatModel(router=Router(ROUTES), tenent="acme"), "tenent"),  # type: ignore[call-arg]
        (lambda: ModelSpec(capabilities=5), "capabilities"),  # type: ignore[arg-type]
        (lambda: MemorySessionStore(maximum_sessions="x"), "maximum_sessions"),  # type: ignore[arg-type]
        (lambda: MemorySessionStore(maximum_sessions=None), "maximum_sessions"),  # type: ignore[arg-type]
        (lambda: MemorySessionStore(maximum_sessions=float("nan")), "maximum_sessions"),  # type: ignore[arg-type]
        (lambda: MemorySessionStore(maximum_sessions=0), "maximum_sessions"),
        (lambda: load_router(5), "config"),  # type: ignore[arg-type]
        (lambda: load_router(b"router.toml"), "config"),  # type: ignore[arg-type]
        (lambda: load_router("router.toml", models=["x"]), "models"),  # type: ignore[arg-type]
        (lambda: load_router("router.toml", environment=["x"]), "environment"),  # type: ignore[arg-type]
        (lambda: load_router("router.toml", environment={"SESSION_ROUTER__POLICY__STAKE": 1}), "environment"),  # type: ignore[dict-item]
        (lambda: SQLiteSessionStore(5), "path"),  # type: ignore[arg-type]
        (lambda: SQLiteSessionStore(b"x.db"), "path"),  # type: ignore[arg-type]
        (lambda: SQLiteSessionStore("x.db", key=5), "key"),  # type: ignore[arg-type]
        (lambda: SQLiteSessionStore("x.db", key="k" * 40), "key"),  # type: ignore[arg-type]
        (lambda: SQLiteSessionStore("x.db", busy_timeout_seconds="5"), "busy_timeout_seconds"),  # type: ignore[arg-type]
        (lambda: SQLiteSessionStore("x.db", busy_timeout_seconds=-1), "busy_timeout_seconds"),
        (lambda: AuditFile(5), "audit.path"),  # type: ignore[arg-type]
        (lambda: AuditFile(b"audit.log"), "audit.path"),  # type: ignore[arg-type]
        (lambda: AuditFile("audit.log", key=5), "key"),  # type: ignore[arg-type]
        (lambda: AuditFile("audit.log", head=5), "audit.head"),  # type: ignore[arg-type]
        (lambda: AuditFile("audit.log", clock=5), "audit.clock"),  # type: ignore[arg-type]
        (lambda: SQLiteEntryRows(5), "path"),  # type: ignore[arg-type]
        (lambda: SemanticCache("cache.db"), "cache.rows"),  # type: ignore[arg-type]
        (lambda: SemanticCache(key=5), "key"),  # type: ignore[arg-type]
        (lambda: SemanticCache(embedder=5), "cache.embedder"),  # type: ignore[arg-type]
        (lambda: SemanticCache(verifier=5), "cache.verifier"),  # type: ignore[arg-type]
        (lambda: SemanticCache(judge=5), "cache.judge"),  # type: ignore[arg-type]
        (lambda: SemanticCache(settings={}), "cache.settings"),  # type: ignore[arg-type]
        (lambda: SemanticCache(certificates=5), "cache.certificates"),  # type: ignore[arg-type]
    ],
)
def test_a_wrong_setting_names_its_key_and_the_rule(make: Any, key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigurationError) as caught:
        make()
    assert caught.value.key == key
    assert caught.value.rule
    assert not list(tmp_path.iterdir())


def test_every_capability_that_a_rule_names_is_one() -> None:
    with pytest.raises(ConfigurationError) as caught:
        ModelSpec(capabilities="tools")  # type: ignore[arg-type]
    named = set(re.findall(r"'(\w+)'", caught.value.rule))
    assert named
    assert ModelSpec(capabilities=named).capabilities == named  # type: ignore[arg-type]


def test_prices_of_the_simulators_are_told_from_prices_of_ours() -> None:
    theirs = providers.Prices(input=1.0, cached_input=0.1, output=2.0)
    with pytest.raises(ConfigurationError, match=r"^`prices.fast` is .*; give `session_router.Prices\("):
        Router({"fast": "openai:sim-fast"}, prices={"fast": theirs})  # type: ignore[dict-item]


def test_what_is_right_is_taken() -> None:
    spec = ModelSpec(model="openai:x", prices=PRICES, capabilities={"tools"}, context_window=1, skill=1, clearance=Clearance(max_level=2))  # type: ignore[arg-type]
    assert ModelSpec(provider_ids=("x-eu",)).provider_ids == {"x-eu"}  # type: ignore[arg-type]
    router = Router({"fast": spec}, policy=Policy(stake=0, default="fast"), key=b"k" * 16)
    assert router.models["fast"].capabilities == {"tools"}  # type: ignore[index]
    assert router.key == b"k" * 16


def test_observers_and_detectors_may_be_given_one_by_one() -> None:
    class Both:
        def on_decision(self, decision: object) -> None: ...

        def on_outcome(self, decision: object, outcome: object) -> None: ...

        def detect(self, text: str) -> Tag:
            del text
            return Tag(level=Level.CONFIDENTIAL)

        async def adetect(self, text: str) -> Tag:
            return self.detect(text)

    both = Both()
    router = Router(ROUTES, observers=(one for one in [both]), detectors=(one for one in [both]))  # type: ignore[arg-type]
    assert router.observers == (both,)
    assert router.detecting is not None
    assert [found.tag.level for found in router.detecting.detect(["x"])] == [Level.CONFIDENTIAL]
