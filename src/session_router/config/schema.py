"""What a configuration may say. pydantic lives in this package and nowhere else.

Defaults are read from the core's own values: each is stated once.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from math import isfinite
from typing import Annotated, Any, Literal, LiteralString, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, StringConstraints
from pydantic_core import PydanticCustomError

from session_router.cache.settings import CacheSettings
from session_router.core.breaker import LONGEST_SECONDS, MOST_FAILURES
from session_router.core.cache_terms import CacheRules, Sharing
from session_router.core.governance import Clearance, Integrity, Level, Tag
from session_router.core.health import LONGEST_WAIT_SECONDS, HealthRules
from session_router.core.model import Capability
from session_router.core.policy import (
    LEAST_DELTA,
    LEAST_DETECTOR_SECONDS,
    MOST_DETECTOR_SECONDS,
    MOST_EXPLORATION,
    OnDenied,
    OnUnportable,
    Policy,
)
from session_router.core.prefix import PromptCache
from session_router.core.upgrades import UpgradeWatch
from session_router.stores.redis import LONGEST_TTL_SECONDS
from session_router.stores.redis_link import LARGEST_BUDGET_SECONDS, LEAST_BUDGET_SECONDS

_POLICY, _CACHE, _TAG, _CLEARANCE = Policy(), PromptCache(), Tag(), Clearance()
_RULES, _STORED, _HEALTH = CacheRules(), CacheSettings(), HealthRules()
_WATCH = UpgradeWatch(expected=0.1, excessive=0.5)  # for the defaults of what has one

A_NUMBER, A_WHOLE_NUMBER = "give a number", "give a whole number"
LONGEST_KEPT_SECONDS = 1e12
"""Longer than anybody keeps an answer, and a span of time that Python can hold."""
AN_INSTANT = "give a date and time, or POSIX seconds"


def _breaks(rule: str) -> PydanticCustomError:
    kind: LiteralString = "session_router"
    return PydanticCustomError(kind, "{rule}", {"rule": rule})


def _not_a_truth_value(value: object) -> object:
    # pydantic would read `true` as 1.
    if isinstance(value, bool):
        raise _breaks(A_NUMBER)
    return value


def _names(value: object) -> object:
    # The environment has no lists: `tools,images` is two names.
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def _level(value: object) -> object:
    names = [level.name.lower() for level in Level]
    if isinstance(value, str) and not value.isdigit():
        if value.lower() not in names:
            rule = f"choose one of {', '.join(map(repr, names))}"
            raise _breaks(rule)
        return Level[value.upper()]
    return _not_a_truth_value(int(value) if isinstance(value, str) else value)


def _instant(value: object) -> object:
    if isinstance(value, str):
        value = _read_instant(value)
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day, tzinfo=UTC)
    if isinstance(value, datetime):
        value = (value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp()
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        raise _breaks(AN_INSTANT)
    return value


def _read_instant(text: str) -> float | datetime:
    # The environment has texts only.
    for read in (float, datetime.fromisoformat):
        try:
            return read(text)
        except ValueError:
            continue
    raise _breaks(AN_INSTANT)


def _unlabelled(value: object) -> object:
    if value == "top":
        return None
    if isinstance(value, str) and value != "public":
        rule = "choose 'top' or 'public', or give a table"
        raise _breaks(rule)
    return {} if value == "public" else value


def _none(value: object) -> object:
    # TOML and the environment cannot say nothing.
    return None if value == "none" else value


def _model(value: object) -> object:
    return {"model": value} if isinstance(value, str) else value


def _whole(value: object) -> object:
    # pydantic would read 8.0 as 8, and then 8.5 is the surprising one.
    if isinstance(value, float):
        raise _breaks(A_WHOLE_NUMBER)
    return _not_a_truth_value(value)


Number: TypeAlias = Annotated[float, BeforeValidator(_not_a_truth_value), Field(allow_inf_nan=False)]
Whole: TypeAlias = Annotated[int, BeforeValidator(_whole)]
Dollars: TypeAlias = Annotated[Number, Field(ge=0, description="US dollars")]
Price: TypeAlias = Annotated[Number, Field(ge=0, description="US dollars per 1,000,000 tokens")]
Seconds: TypeAlias = Annotated[Number, Field(ge=0, description="seconds")]
Tokens: TypeAlias = Annotated[Whole, Field(ge=0, description="tokens")]
Instant: TypeAlias = Annotated[float, BeforeValidator(_instant)]
Name: TypeAlias = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
Names: TypeAlias = Annotated[frozenset[Name], BeforeValidator(_names)]
Capabilities: TypeAlias = Annotated[frozenset[Capability], BeforeValidator(_names)]
LevelName: TypeAlias = Annotated[Level, BeforeValidator(_level)]


class Section(BaseModel):
    """One table of the file; a key that it does not know is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class PromptCacheSection(Section):
    """`[models.NAME.prompt_cache]`, see `PromptCache`; with `capacity_tokens`, its `least_recently_used`."""

    seconds_to_live: Seconds = _CACHE.seconds_to_live
    minimum_tokens: Tokens = _CACHE.minimum_tokens
    block_tokens: Annotated[Whole, Field(ge=1, description="tokens")] = _CACHE.block_tokens
    capacity_tokens: Tokens | None = None
    tokens_per_second: Annotated[Number, Field(gt=0, description="tokens a second")] | None = None
    salt: Literal["none", "prompt_cache_key", "cache_salt"] | None = None


class TagSection(Section):
    """`[policy.unlabelled]`, `[policy.tools.NAME]` and `[policy.sources.NAME]`, see `Tag`."""

    level: LevelName = _TAG.level
    categories: Names = _TAG.categories
    regions: Names | None = _TAG.regions
    purposes: Names | None = _TAG.purposes
    tenants: Names = _TAG.tenants
    subjects: Names = _TAG.subjects
    expires_at: Instant | None = _TAG.expires_at
    no_train: bool = _TAG.no_train
    zero_retention: bool = _TAG.zero_retention
    integrity: Integrity = _TAG.integrity


class ClearanceSection(Section):
    """`[models.NAME.clearance]`, see `Clearance`."""

    max_level: LevelName = _CLEARANCE.max_level
    categories: Names = _CLEARANCE.categories
    processing_regions: Names = _CLEARANCE.processing_regions
    purposes: Names | None = _CLEARANCE.purposes
    tenants: Names | None = _CLEARANCE.tenants
    trains: bool = _CLEARANCE.trains
    retention_seconds: Seconds | None = _CLEARANCE.retention_seconds
    endpoint: str = _CLEARANCE.endpoint
    attested_until: Instant | None = _CLEARANCE.attested_until
    version: Name = _CLEARANCE.version


class PricesSection(Section):
    """`[models.NAME.prices]` or `[prices.NAME]`, see `Prices`."""

    input: Price
    output: Price
    cached_input: Price | None = None
    cache_write: Price | None = None


class UpgradesSection(Section):
    """`[policy.upgrades]`, see `UpgradeWatch`."""

    expected: Annotated[Number, Field(gt=0, lt=1, description="a share of boundaries")]
    excessive: Annotated[Number, Field(gt=0, lt=1, description="a share of boundaries")]
    between_false_alarms: Annotated[Number, Field(gt=1, description="boundaries")] = _WATCH.between_false_alarms
    capped_boundaries: Annotated[Whole, Field(ge=1, description="boundaries")] = _WATCH.capped_boundaries


class PolicySection(Section):
    """`[policy]`, see `Policy`."""

    default: Name | None = _POLICY.default
    stake: Dollars = _POLICY.stake
    margin: Annotated[Number, Field(ge=0, lt=1, description="a share in [0, 1) that a switch must save")] = _POLICY.margin
    cooldown: Annotated[Whole, Field(ge=0, description="turns")] = _POLICY.cooldown
    patience: Annotated[Whole, Field(ge=0, description="boundaries")] = _POLICY.patience
    cap: Annotated[
        Annotated[Number, Field(ge=0, description="a share of what never switching would cost, or 'none'")] | None,
        BeforeValidator(_none),
    ] = _POLICY.cap
    handoff: Dollars = _POLICY.handoff
    output_tokens: Tokens = _POLICY.output_tokens
    on_unportable: OnUnportable = _POLICY.on_unportable
    experience: Name | None = None
    reference: Name | None = _POLICY.reference
    alpha: Annotated[Number, Field(ge=0, lt=1, description="a share in [0, 1)")] = _POLICY.alpha
    delta: Annotated[Number, Field(ge=LEAST_DELTA, lt=1, description="a chance in (0, 1)")] = _POLICY.delta
    explore: Annotated[Number, Field(ge=0, le=MOST_EXPLORATION, description="a share of boundaries")] = _POLICY.explore
    explore_dollars: Dollars = _POLICY.explore_dollars
    upgrades: UpgradesSection | None = None
    on_denied: Annotated[tuple[OnDenied, ...], BeforeValidator(_names)] = _POLICY.on_denied
    rules: Name | None = None
    recorded_from: LevelName = _POLICY.recorded_from
    unlabelled: Annotated[TagSection | None, BeforeValidator(_unlabelled)] = None
    undetected: Annotated[TagSection | None, BeforeValidator(_unlabelled)] = None
    detector_seconds: Annotated[Number, Field(ge=LEAST_DETECTOR_SECONDS, le=MOST_DETECTOR_SECONDS, description="seconds")] = (
        _POLICY.detector_seconds
    )
    tools: dict[Name, TagSection] = Field(default_factory=dict[str, TagSection])
    sources: dict[Literal["system", "human", "ai", "tool", "schemas", "provider"], TagSection] = Field(
        default_factory=dict[Literal["system", "human", "ai", "tool", "schemas", "provider"], TagSection]
    )


class ModelSection(Section):
    """`[models.NAME]`, see `ModelSpec`; a text alone stands for `model`."""

    model: Name | None = None
    context_window: Annotated[Whole, Field(gt=0, description="tokens")] | None = None
    capabilities: Capabilities | None = None
    provider_ids: Names = frozenset()
    dialect: str = ""
    account: str = ""
    skill: Annotated[Number, Field(ge=0, le=1, description="a share in [0, 1]")] | None = None
    settings: dict[str, Any] = Field(default_factory=dict[str, Any], repr=False)
    prices: PricesSection | None = None
    priced_as: Name | None = None
    prompt_cache: PromptCacheSection = PromptCacheSection()
    clearance: ClearanceSection | None = None


class SentinelSection(Section):
    """`[store.sentinel]` and `[cache.sentinel]`, see `RedisServers.sentinel`."""

    nodes: Names = Field(description="servers, each as 'host:port'")
    master: Name = Field(description="what the Sentinels call the master")
    username: Name | None = None
    password: SecretStr | None = None


class ClusterSection(Section):
    """`[store.cluster]` and `[cache.cluster]`, see `RedisServers.cluster`."""

    nodes: Names = Field(description="servers, each as 'host:port'")


class RedisSection(Section):
    """Where Redis is, and how long it is waited for."""

    url: SecretStr | None = None
    sentinel: SentinelSection | None = None
    cluster: ClusterSection | None = None
    username: Name | None = None
    password: SecretStr | None = None
    database: Annotated[Whole, Field(ge=0, description="the number of a database")] | None = None
    tls: bool | None = None
    budget_seconds: Annotated[Number, Field(ge=LEAST_BUDGET_SECONDS, le=LARGEST_BUDGET_SECONDS, description="seconds")] | None = None
    prefix: Name | None = None


class HealthSection(Section):
    """`[health]`: when a model counts as unhealthy, see `HealthRules` and its `BreakerSettings`."""

    enabled: bool = True
    failures: Annotated[Whole, Field(ge=1, le=MOST_FAILURES, description="failures")] = _HEALTH.breaker.failures
    within_seconds: Annotated[Number, Field(ge=0, le=LONGEST_SECONDS, description="seconds")] = _HEALTH.breaker.within_seconds
    first_pause_seconds: Annotated[Number, Field(ge=0, le=LONGEST_SECONDS, description="seconds")] = _HEALTH.breaker.first_pause_seconds
    longest_pause_seconds: Annotated[Number, Field(ge=0, le=LONGEST_SECONDS, description="seconds")] = _HEALTH.breaker.longest_pause_seconds
    probe_seconds: Annotated[Number, Field(ge=0, le=LONGEST_SECONDS, description="seconds")] = _HEALTH.probe_seconds
    retry_share: Annotated[Number, Field(ge=0, le=1, description="a share in [0, 1]")] = _HEALTH.retry_share
    retry_burst: Annotated[Number, Field(ge=0, le=MOST_FAILURES, description="retries")] = _HEALTH.retry_burst
    backoff_seconds: Annotated[Number, Field(ge=0, le=LONGEST_WAIT_SECONDS, description="seconds")] = _HEALTH.backoff_seconds
    wait_seconds: Annotated[Number, Field(ge=0, le=LONGEST_WAIT_SECONDS, description="seconds")] = _HEALTH.wait_seconds
    refresh_seconds: Annotated[Number, Field(ge=0, le=LONGEST_SECONDS, description="seconds")] = _HEALTH.refresh_seconds


class StoreSection(RedisSection):
    """`[store]`: where sessions live; a `path` alone means SQLite, servers mean Redis, nothing means this process's memory."""

    kind: Literal["memory", "sqlite", "redis"] | None = None
    path: Name | None = None
    maximum_sessions: Annotated[Whole, Field(gt=0, description="sessions")] | None = None
    seconds_to_live: Annotated[Number, Field(ge=1, le=LONGEST_TTL_SECONDS, description="seconds")] | None = None


class ScorerSection(Section):
    """`[scorer]`: where need comes from; a `path` alone means a scorer that was fitted to outcomes, nothing means the router's default."""

    kind: Literal["fitted", "prior", "lexical"] | None = None
    path: Name | None = None
    models: dict[Name, Name] = Field(
        default_factory=dict[str, str], description="a table: what a route is called in the file, such as fast = 'gpt-5-mini'"
    )
    guard: bool = True


class CacheSection(RedisSection):
    """`[cache]`: stored answers, see `CacheRules` and `CacheSettings`; without this table there is no cache.

    A `path` alone means SQLite, servers mean Redis, and nothing this process's memory.
    """

    kind: Literal["memory", "sqlite", "redis"] | None = None
    path: Name | None = None
    embedder: Literal["static", "hash", "none"] = "static"
    sharing: Sharing = Sharing(_RULES.sharing)
    policy_epoch: Name = _RULES.policy_epoch
    knowledge_epoch: Name = _RULES.knowledge_epoch
    locale: str = _RULES.locale
    category: Name = _RULES.category
    reader: ClearanceSection | None = None
    clearance: ClearanceSection | None = None
    seconds_to_live: Annotated[Number, Field(gt=0, le=LONGEST_KEPT_SECONDS, description="seconds")] = _STORED.time_to_live.total_seconds()
    categories: dict[Name, Annotated[Number, Field(gt=0, le=LONGEST_KEPT_SECONDS, description="seconds")]] = Field(
        default_factory=dict[str, float], description="a table: seconds to live by category, such as prices = 600"
    )
    judge: Name | None = None
    wrong: Annotated[Number, Field(gt=0, lt=1, description="a share of hits in (0, 1)")] = _STORED.wrong
    mistakes: Annotated[Number, Field(gt=0, lt=1, description="a chance in (0, 1)")] = _STORED.mistakes
    judge_error: Annotated[Number, Field(ge=0, lt=1, description="a share in [0, 1)")] = _STORED.judge_error
    serve_similar: bool = _STORED.serve_similar
    audit_share: Annotated[Number, Field(ge=0, le=1, description="a share in [0, 1]")] = _STORED.audit_share
    audit_dollars_per_day: Dollars = _STORED.audit_dollars_per_day
    wait_seconds: Seconds = _STORED.wait_seconds
    maximum_entries: Annotated[Whole, Field(gt=0, description="entries")] = _STORED.maximum_entries


class PatternSection(TagSection):
    """`[detectors.patterns.NAME]`: one regular expression, and the label of what it finds."""

    pattern: Annotated[str, StringConstraints(min_length=1)]


class PresidioSection(Section):
    """`[detectors.presidio]`, see `PresidioDetector`."""

    language: Name = "en"
    spacy_model: Annotated[Name | None, BeforeValidator(_none)] = "en_core_web_lg"
    least_score: Annotated[Number, Field(ge=0, le=1, description="a score in [0, 1]")] = 0.5
    labels: dict[Name, TagSection] = Field(default_factory=dict[str, TagSection])


class DetectorsSection(Section):
    """`[detectors]`: what looks at the texts of requests, and may raise their labels; nothing unless stated."""

    patterns: dict[Name, PatternSection] = Field(default_factory=dict[str, PatternSection])
    presidio: PresidioSection | None = None


class AuditSection(Section):
    """`[audit]`: where decisions are recorded; without a `path`, nowhere."""

    path: Name | None = None
    head: Name | None = None
    sync_seconds: Annotated[Annotated[Number, Field(ge=0, description="seconds, or 'none'")] | None, BeforeValidator(_none)] = 1.0


class Settings(Section):
    """A whole configuration, with its shape checked; `load_router` makes the objects."""

    policy: PolicySection = PolicySection()
    models: dict[Name, Annotated[ModelSection, BeforeValidator(_model)]] = Field(
        min_length=1, description="one table for each model, such as [models.fast]"
    )
    prices: dict[Name, PricesSection] = Field(default_factory=dict[str, PricesSection])
    price_file: Name | None = None
    scorer: ScorerSection = ScorerSection()
    store: StoreSection = StoreSection()
    health: HealthSection = HealthSection()
    cache: CacheSection | None = None
    audit: AuditSection = AuditSection()
    detectors: DetectorsSection = DetectorsSection()
    key: SecretStr | None = None
