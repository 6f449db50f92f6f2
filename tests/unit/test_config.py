from __future__ import annotations

import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from session_router.config import load_router, load_settings
from session_router.config.schema import (
    ClearanceSection,
    ModelSection,
    PolicySection,
    PricesSection,
    PromptCacheSection,
    TagSection,
    UpgradesSection,
)
from session_router.core.governance import PUBLIC, Clearance, Level, Tag
from session_router.core.model import Capability, ModelSpec
from session_router.core.policy import Policy
from session_router.core.prefix import PromptCache
from session_router.core.pricing import Prices
from session_router.core.upgrades import UpgradeWatch
from session_router.errors import ConfigurationError, ConfigurationErrors
from session_router.stores.memory import MemorySessionStore
from session_router.stores.sqlite import SQLiteSessionStore

if TYPE_CHECKING:
    from collections.abc import Callable

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
KEY = "0123456789abcdef" * 4
GOOD = """
[policy]
stake = 0.5
[models.fast]
model = "openai:small"
prices = {input = 0.25, output = 2}
[models.strong]
model = "openai:large"
prices = {input = 3, output = 15}
"""


def refused(path: Path | None, environment: dict[str, str] | None = None, **overrides: Any) -> ConfigurationError:
    with pytest.raises(ConfigurationError) as caught:
        load_router(path, environment=environment or {}, **overrides)
    return caught.value


@pytest.mark.parametrize(
    ("section", "value"),
    [
        (PolicySection, Policy),
        (PromptCacheSection, PromptCache),
        (TagSection, Tag),
        (ClearanceSection, Clearance),
        (PricesSection, Prices),
        (ModelSection, ModelSpec),
        (UpgradesSection, UpgradeWatch),
    ],
)
def test_every_setting_of_the_core_can_be_configured(section: Any, value: Any) -> None:
    found_out = {"source"}  # where the route was read from: not for the user to say
    if value is Policy:
        found_out = {"cache"}  # a table of its own: `[cache]`
    ways_to_say = {"priced_as", "capacity_tokens", "tokens_per_second"}  # from which a setting of the core follows
    assert set(section.model_fields) - ways_to_say == {field.name for field in fields(value) if field.init} - found_out


@pytest.mark.parametrize(
    ("setting", "rule"),
    [
        ('policy.unlabelled = "private"', "choose 'top' or 'public', or give a table"),
        ('policy.undetected = "private"', "choose 'top' or 'public', or give a table"),
        ("cache.seconds_to_live = 1e300", "give a number <= 1000000000000.0"),
        ("cache.categories.news = 1e300", "give a number <= 1000000000000.0"),
    ],
)
def test_a_value_that_nothing_can_be_made_of_names_its_rule(write: Callable[..., Path], setting: str, rule: str) -> None:
    error = refused(write(setting + GOOD.replace("[policy]\nstake = 0.5\n", "")))
    assert error.key == setting.partition(" ")[0]
    assert rule in str(error)


def test_upgrades_are_watched_where_the_file_says_how(write: Callable[..., Path]) -> None:
    assert load_router(write(GOOD), environment={}).policy.upgrades is None
    path = write(f"{GOOD}\n[policy.upgrades]\nexpected = 0.2\nexcessive = 0.6\n")
    assert load_router(path, environment={}).policy.upgrades == UpgradeWatch(expected=0.2, excessive=0.6)
    short = {"SESSION_ROUTER__POLICY__UPGRADES__CAPPED_BOUNDARIES": "3"}
    watch = load_router(path, environment=short).policy.upgrades
    assert watch == UpgradeWatch(expected=0.2, excessive=0.6, capped_boundaries=3)


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ("expected = 0.6\nexcessive = 0.2", "policy.upgrades.expected"),
        ("expected = 0.2", "policy.upgrades.excessive"),
        ("expected = 0\nexcessive = 0.2", "policy.upgrades.expected"),
        ("expected = 0.2\nexcessive = 0.6\nbetween_false_alarms = 1", "policy.upgrades.between_false_alarms"),
        ("expected = 0.2\nexcessive = 0.6\ncapped_boundaries = 0", "policy.upgrades.capped_boundaries"),
        ("expected = 0.2\nexcessive = 0.6\nexcessiv = 0.5", "policy.upgrades.excessiv"),
    ],
)
def test_a_watch_that_makes_no_sense_is_named(write: Callable[..., Path], settings: str, key: str) -> None:
    path = write(f"{GOOD}\n[policy.upgrades]\n{settings}\n")
    error = refused(path)
    assert error.key == key
    assert error.source == str(path)


def test_both_examples_say_the_same() -> None:
    toml = load_router(EXAMPLES / "router.toml", environment={})
    yaml = load_router(EXAMPLES / "router.yaml", environment={})
    assert toml.models == yaml.models
    assert toml.policy == yaml.policy
    assert toml.models["strong"].prices == Prices(input=3, cached_input=0.3, cache_write=3.75, output=15)
    assert toml.models["fast"].capabilities == {Capability.TOOLS, Capability.STRUCTURED_OUTPUT, Capability.IMAGES}


def test_what_is_not_stated_has_the_default_of_the_core(write: Any) -> None:
    router = load_router(write(GOOD), environment={})
    assert router.policy == Policy(stake=0.5)
    assert router.models["fast"] == ModelSpec(model="openai:small", prices=Prices(input=0.25, output=2))
    assert isinstance(router.store, MemorySessionStore)


def test_what_steadies_a_session_is_read(write: Any) -> None:
    text = "stake = 0.5\ncooldown = 2\npatience = 4\ncap = 0.25\nhandoff = 0.01"
    policy = load_router(write(GOOD.replace("stake = 0.5", text)), environment={}).policy
    assert policy == Policy(stake=0.5, cooldown=2, patience=4, cap=0.25, handoff=0.01)
    path = write(GOOD.replace("stake = 0.5", 'cap = "none"'))
    assert load_router(path, environment={}).policy == Policy(cap=None)
    assert load_router(path, environment={"SESSION_ROUTER__POLICY__CAP": "0.5"}).policy == Policy(cap=0.5)
    assert load_router(write(GOOD), environment={"SESSION_ROUTER__POLICY__CAP": "none"}).policy == Policy(stake=0.5, cap=None)


def test_governance_is_read_in_full(write: Any) -> None:
    text = GOOD + '[models.strong.clearance]\nmax_level = "restricted"\ntrains = false\nattested_until = 2030-01-01\n'
    router = load_router(write(text.replace("stake = 0.5", 'unlabelled = "public"')), environment={})
    clearance = router.models["strong"].clearance
    assert clearance == Clearance(max_level=Level.RESTRICTED, trains=False, attested_until=1893456000.0)
    assert router.policy.unlabelled == PUBLIC
    assert router.models["fast"].clearance is None


@pytest.mark.parametrize(
    ("change", "key", "value", "rule"),
    [
        (("stake = 0.5", "stake = -1"), "policy.stake", -1, ">= 0 (US dollars)"),
        (("stake = 0.5", "stake = true"), "policy.stake", True, "give a number"),
        (("stake = 0.5", "stake = nan"), "policy.stake", None, "give a finite number"),
        (("stake = 0.5", "margin = 1"), "policy.margin", 1, "< 1"),
        (("stake = 0.5", "output_tokens = 1.5"), "policy.output_tokens", 1.5, "give a whole number"),
        (("stake = 0.5", 'on_unportable = "stya"'), "policy.on_unportable", "stya", "'stay', 'convert' or 'raise'"),
        (("stake = 0.5", 'default = "fats"'), "policy.default", "fats", "did you mean `fast`?"),
        (("stake = 0.5", "cooldown = -1"), "policy.cooldown", -1, ">= 0 (turns)"),
        (("stake = 0.5", "patience = 1.5"), "policy.patience", 1.5, "give a whole number"),
        (("stake = 0.5", "cap = -0.5"), "policy.cap", -0.5, ">= 0 (a share"),
        (
            ("stake = 0.5", 'cap = "nothing"'),
            "policy.cap",
            "nothing",
            "give a number (a share of what never switching would cost, or 'none')",
        ),
        (("stake = 0.5", "handoff = -1"), "policy.handoff", -1, "(US dollars)"),
        (("stake = 0.5", "steak = 1"), "policy.steak", 1, "did you mean `stake`?"),
        (("[policy]", "[polcy]"), "polcy", "(a table)", "did you mean `policy`?"),
        (("input = 0.25, ", ""), "models.fast.prices.input", None, "it is required"),
        (("input = 0.25", "input = -0.25"), "models.fast.prices.input", -0.25, ">= 0 (US dollars per 1,000,000 tokens)"),
        (("prices = {input = 0.25, output = 2}", ""), "models.fast.prices", None, "US dollars per 1,000,000 tokens"),
        (('model = "openai:small"', ""), "models.fast.model", None, "openai:gpt-5-mini"),
        (('model = "openai:small"', 'model = "x"\nskill = 2'), "models.fast.skill", 2, "<= 1"),
        (('model = "openai:small"', 'model = "x"\ncapabilities = ["tols"]'), "models.fast.capabilities.0", "tols", "'tools'"),
        (
            ('model = "openai:small"', 'model = "x"\nprompt_cache = {seconds_to_live = -1}'),
            "models.fast.prompt_cache.seconds_to_live",
            -1,
            "(seconds)",
        ),
        (('model = "openai:small"', "model = 7"), "models.fast.model", 7, "give text"),
        (("[policy]", "[prices.fats]\ninput = 1\noutput = 1\n[policy]"), "prices.fats", "(a table)", "did you mean `fast`?"),
        (("[policy]", "[prices.fast]\ninput = 1\noutput = 1\n[policy]"), "prices.fast", "(a table)", "keep one of the two"),
        (("[policy]", '[store]\nkind = "mysql"\n[policy]'), "store.kind", "mysql", "'memory', 'sqlite' or 'redis'"),
        (("[policy]", '[store]\nkind = "sqlite"\n[policy]'), "store.path", None, "name the file"),
        (("[policy]", '[store]\nkind = "memory"\npath = "x.db"\n[policy]'), "store.path", "x.db", "sqlite"),
        (("[policy]", '[store]\npath = "/nowhere/x.db"\n[policy]'), "store.path", "/nowhere/x.db", "the directory `/nowhere` must exist"),
        (("[policy]", '[store]\npath = "/"\n[policy]'), "store.path", "/", "this is a directory"),
        (("stake = 0.5", 'reference = "fats"'), "policy.reference", "fats", "did you mean `fast`?"),
    ],
)
def test_a_wrong_setting_names_file_key_value_and_rule(write: Any, change: tuple[str, str], key: str, value: object, rule: str) -> None:
    path = write(GOOD.replace(*change))
    error = refused(path)
    assert (error.key, error.source) == (key, str(path))
    assert error.value == value or value is None
    assert rule in error.rule
    assert str(path) in str(error)
    assert f"`{key}`" in str(error)
    # Nobody who writes TOML knows what `None` is.
    assert "None" not in str(error)


def test_all_errors_are_reported_and_the_first_one_leads(write: Any) -> None:
    error = refused(write(GOOD.replace("stake = 0.5", "stake = -1\nmargin = 3").replace("output = 15", "output = -15")))
    assert isinstance(error, ConfigurationErrors)
    assert [one.key for one in error.errors] == ["policy.stake", "policy.margin", "models.strong.prices.output"]
    assert error.key == "policy.stake"
    assert all(str(one) in str(error) for one in error.errors)


@pytest.mark.parametrize("text", ["", "[models]", "[policy]\nstake = 1"])
def test_a_configuration_without_models_is_refused(write: Any, text: str) -> None:
    assert refused(write(text)).key == "models"


@pytest.mark.parametrize(
    ("name", "text", "line"),
    [
        ("router.toml", "[policy]\nstake = = 1\n", "line 2"),
        ("router.toml", "[models.fast]\nmodel = 'a'\n[models.fast]\nmodel = 'b'\n", "line 3"),
        ("router.yaml", "models:\n  fast: a\n  fast: b\n", "line 3"),
        ("router.yaml", "policy:\n  stake: [1\n", "line 3"),
        ("router.yml", "models:\n  yes: a\n", "line 2"),
        ("router.yaml", "- models\n", "list"),
        ("router.yaml", "a: !!python/object/apply:os.system [ls]\n", "line 1"),
        ("router.yaml", "models: &models\n  fast: *models\n", "an anchor that holds itself"),
        ("router.toml", f"[policy]\nstake = {'9' * 5_000}\n", "too many digits"),
    ],
)
def test_syntax_errors_and_duplicate_names_name_file_and_line(write: Any, name: str, text: str, line: str) -> None:
    path = write(text, name)
    error = refused(path)
    assert error.source == str(path)
    assert line in str(error)


@pytest.mark.parametrize(("output", "stake", "key"), [("1e308", "1", "models.fast.prices.output"), ("1", "1e308", "policy.stake")])
def test_what_is_too_large_for_the_core_names_file_and_setting(write: Any, output: str, stake: str, key: str) -> None:
    path = write(f"[models.fast]\nmodel = 'a'\nprices = {{input = 1, output = {output}}}\n[policy]\nstake = {stake}\n")
    error = refused(path)
    assert (error.key, error.value, error.source) == (key, 1e308, str(path))


@pytest.mark.parametrize("name", ["missing.toml", "router.ini", "."])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, name: str) -> None:
    assert refused(tmp_path / name).value == str(tmp_path / name)


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "router.toml"
    path.write_bytes(b"stake = \xff")
    assert "UTF-8" in refused(path).rule


def test_the_environment_outranks_the_file_and_arguments_outrank_both(write: Any) -> None:
    path = write(GOOD.replace("models.strong", 'models."gpt-5.Large"'))
    environment = {
        "SESSION_ROUTER__POLICY__STAKE": "0.02",
        "SESSION_ROUTER__MODELS__GPT_5_LARGE__PRICES__OUTPUT": "9",
        "SESSION_ROUTER__MODELS__FAST__CAPABILITIES": "tools, images",
        "SESSION_ROUTER__MODELS__FAST__SETTINGS__TEMPERATURE": "0.5",
        "SESSION_ROUTER__MODELS__FAST__PROMPT_CACHE__MINIMUM_TOKENS": "7",
        "SESSION_ROUTER_CONFIG": str(path),
    }
    router = load_router(environment=environment)
    assert router.policy == Policy(stake=0.02)
    assert router.models["fast"].prompt_cache == PromptCache(minimum_tokens=7)
    assert router.models["gpt-5.Large"].prompt_cache == PromptCache()
    assert router.models["gpt-5.Large"].prices == Prices(input=3, output=9)
    assert router.models["fast"].capabilities == {Capability.TOOLS, Capability.IMAGES}
    assert router.models["fast"].settings == {"temperature": 0.5}
    assert load_router(path, environment=environment, policy=Policy(stake=7)).policy.stake == 7


@pytest.mark.parametrize(
    ("variable", "key"),
    [
        ("SESSION_ROUTER__POLICY__STAKE", "policy.stake"),
        ("SESSION_ROUTER__POLCY__STAKE", "polcy"),
        ("SESSION_ROUTER__MODELS__FAST__PRICES__INPUTT", "models.fast.prices.inputt"),
        ("SESSION_ROUTER__POLICY__STAKE__MORE", "policy.stake"),
    ],
)
def test_a_wrong_variable_is_named(write: Any, variable: str, key: str) -> None:
    error = refused(write(GOOD), {variable: "much"})
    assert error.key == key
    assert variable in (error.source or "")


def test_references_are_resolved(write: Any) -> None:
    text = GOOD.replace('"openai:small"', '"${PROVIDER}:${SIZE:-small}$$"').replace("stake = 0.5", 'stake = "${STAKE}"')
    router = load_router(write(text), environment={"PROVIDER": "openai", "STAKE": "0.25"})
    assert router.models["fast"].model == "openai:small$"
    assert router.policy.stake == 0.25


@pytest.mark.parametrize("reference", ["${NOWHERE}", "${}", "${no-name}", "${open"])
def test_a_reference_that_leads_nowhere_is_named(write: Any, reference: str) -> None:
    error = refused(write(GOOD.replace("openai:small", reference)))
    assert (error.key, error.value) == ("models.fast.model", reference)


def test_no_error_shows_a_secret(write: Any) -> None:
    secret = "s3cr3t-value"
    cases = [
        (GOOD.replace("[policy]", f'key = "{secret}"\n[policy]'), {}),
        (GOOD.replace('model = "openai:small"', f'model = "x"\napi_key = "{secret}"'), {}),
        (GOOD.replace('model = "openai:small"', f'model = "x"\nsettings = "{secret}"'), {}),
        (GOOD.replace("stake = 0.5", 'stake = "${TOKEN}"'), {"TOKEN": secret}),
        (GOOD.replace("stake = 0.5", 'margn = "${TOKEN}"'), {"TOKEN": secret}),
        (GOOD, {"SESSION_ROUTER_KEY": secret}),
        (GOOD, {"SESSION_ROUTER__KEY": secret}),
        (GOOD.replace("[models.fast]", f'[models.fast]\nsettings = "{secret}"\nmdel = 1'), {}),
    ]
    for text, environment in cases:
        error = refused(write(text), environment)
        assert secret not in str(error)
        assert secret not in repr(error.value)
        assert error.__cause__ is None
        assert error.__context__ is None or secret not in str(error.__context__)


def test_settings_do_not_show_secrets(write: Any) -> None:
    text = f'key = "{KEY}"\n' + GOOD.replace('model = "openai:small"', 'model = "x"\nsettings = {api_key = "sk-hidden"}')
    settings = load_settings(write(text), environment={})
    assert KEY not in repr(settings)
    assert "sk-hidden" not in repr(settings)


def test_the_key_comes_from_arguments_variable_or_file(write: Any) -> None:
    other = "fedcba9876543210" * 4
    path = write(f'key = "{KEY}"\n' + GOOD)
    assert load_router(path, environment={}).key == bytes.fromhex(KEY)
    assert load_router(path, environment={"SESSION_ROUTER_KEY": other}).key == bytes.fromhex(other)
    assert load_router(path, environment={"SESSION_ROUTER_KEY": other}, key=b"k" * 32).key == b"k" * 32


@pytest.mark.parametrize("kind", ["", 'kind = "sqlite"\n'])
def test_a_database_lies_beside_its_configuration_and_keeps_the_key(write: Any, tmp_path: Path, kind: str) -> None:
    path = write(GOOD + f'[store]\n{kind}path = "sessions.sqlite3"\n')
    router = load_router(path, environment={})
    again = load_router(path, environment={})
    assert isinstance(router.store, SQLiteSessionStore)
    assert (tmp_path / "sessions.sqlite3").exists()
    assert router.key == again.key == router.store.key
    for one in (router, again):
        one.store.close()


def test_a_store_from_python_leaves_the_configured_one_closed(write: Any, tmp_path: Path) -> None:
    store = MemorySessionStore()
    router = load_router(write(GOOD + '[store]\nkind = "sqlite"\npath = "sessions.sqlite3"\n'), environment={}, store=store)
    assert router.store is store
    assert not (tmp_path / "sessions.sqlite3").exists()


def test_chat_models_from_python_take_the_place_of_strings(write: Any) -> None:
    chat_model = object()
    router = load_router(write(GOOD.replace('model = "openai:small"', "")), environment={}, models={"fast": chat_model})
    assert router.models["fast"].model is chat_model
    assert router.models["fast"].prices == Prices(input=0.25, output=2)
    assert refused(write(GOOD), models={"fats": chat_model}).key == "models.fats"


def test_yaml_without_pyyaml_names_the_extra(write: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "yaml", None)
    assert "session-router[cli]" in str(refused(write("models: {}", "router.yaml")))


def test_importing_the_package_loads_no_optional_package() -> None:
    heavy = ["typer", "rich", "pydantic", "yaml", "langchain_core", "langgraph", "numpy", "redis"]
    program = f"import sys, session_router, session_router.cli; print([name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_variable_that_reads_like_a_setting_and_sets_none_is_told(write: Callable[[str], Path], caplog: pytest.LogCaptureFixture) -> None:
    file = write(GOOD.replace('"openai:small"', '"${SESSION_ROUTER_MODELS_SMALL:-openai:small}"'))
    fine = {
        "SESSION_ROUTER_KEY": KEY,
        "SESSION_ROUTER_CONFIG": "x.toml",
        "SESSION_ROUTER__POLICY__STAKE": "1",
        "SESSION_ROUTER_POLICYHOLDER": "x",
    }
    load_settings(file, environment={**fine, "SESSION_ROUTER_MODELS_SMALL": "openai:other"})
    assert not caplog.records
    assert load_settings(file, environment={"SESSION_ROUTER_POLICY_STAKE": "1", "session_router_price_file": "x"}).policy.stake == 0.5
    assert [record.getMessage().split()[2] for record in caplog.records] == ["SESSION_ROUTER_POLICY_STAKE", "session_router_price_file"]
    assert "SESSION_ROUTER__POLICY__STAKE" in caplog.text
