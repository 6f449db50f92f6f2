"""Settings -> the response cache."""

from __future__ import annotations

import importlib
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from session_router.cache.settings import CacheSettings
from session_router.config.environment import dotted
from session_router.config.files import beside
from session_router.config.redis import OF_REDIS, check_kind_of, places_of, problem, redis_servers
from session_router.config.scorer import built_in_embedder
from session_router.core.cache_terms import CacheRules
from session_router.core.governance import Clearance
from session_router.core.model import ModelName
from session_router.core.pricing import USD
from session_router.errors import ConfigurationError, MissingExtra
from session_router.identity import key_from_file

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from session_router.cache.judge import AnswerJudge
    from session_router.cache.rows import EntryRows
    from session_router.cache.semantic import SemanticCache
    from session_router.config.environment import Layers
    from session_router.config.schema import CacheSection, Settings
    from session_router.core.model import ModelSpec
    from session_router.ports import SessionStore
    from session_router.stores.redis_servers import RedisServers

_OF_KIND: Final = {"sqlite": {"path"}, "redis": {*OF_REDIS}}
_NO_KEY: Final = "replicas that share answers share their key: set SESSION_ROUTER_KEY, such as to the output of `openssl rand -hex 32`."


def build_cache_rules(section: CacheSection | None) -> CacheRules:
    """Make what the policy says of stored answers."""
    if section is None:
        return CacheRules()
    return CacheRules(
        sharing=section.sharing,
        reader=None if section.reader is None else Clearance(**section.reader.model_dump()),
        policy_epoch=section.policy_epoch,
        knowledge_epoch=section.knowledge_epoch,
        locale=section.locale,
        category=section.category,
    )


def build_cache(
    settings: Settings,
    key: bytes | None,
    layers: Layers,
    *,
    rows: EntryRows | None = None,
    certificates: EntryRows | None = None,
    specs: Mapping[str, ModelSpec] | None = None,
    store: SessionStore | None = None,
) -> SemanticCache | None:
    """Make the cache; `None` where the configuration has none.

    Args:
        settings: The configuration.
        key: Of partitions and seals; a file of entries keeps a key of its own beside it when none is given.
        layers: Where the configuration came from.
        rows: Where entries lie instead.
        certificates: Where audits are counted instead.
        specs: The routes, of which one may be the judge; without them, answers are compared word by word.
        store: Where sessions lie: answers on the same Redis servers use its connections, and know with it when a server is dead.

    Raises:
        ConfigurationError: The file has no directory, or a setting is wrong.
        MissingExtra: There is an embedder, and FAISS is not installed.
    """
    section = settings.cache
    if section is None:
        return None
    from session_router.cache.semantic import SemanticCache

    if kind_of_cache(settings, section, layers) == "redis" and rows is None:
        if key is None:
            raise problem(layers, ("key",), None, _NO_KEY)
        rows = _in_redis(settings, section, layers, store)
    path = None if section.path is None else beside(layers.source, section.path)
    if path is not None:
        opened = _opened(path, section, layers)
        # Whoever brings the entries and counts nothing in the file leaves no key beside it.
        if key is None and (rows is None or certificates is not None):
            key = key_from_file(path.with_name(path.name + ".key"))
        rows = opened if rows is None else rows
    embedder = built_in_embedder(section.embedder)
    judge = None if section.judge is None or specs is None else _judge(section.judge, specs)
    return SemanticCache(rows, key=key, embedder=embedder, judge=judge, settings=_settings(section), certificates=certificates)


def kind_of_cache(settings: Settings, section: CacheSection, layers: Layers) -> str:
    """Say which cache the configuration means; nothing is opened.

    Raises:
        ConfigurationError: A setting is missing where it is needed, or present where it means nothing.
    """
    kind = section.kind or _kind(section)
    check_kind_of(section, kind, layers, table="cache", of_kind=_OF_KIND)
    if kind == "sqlite" and section.path is None:
        raise problem(layers, ("cache", "path"), None, "name the file of the entries.")
    if kind == "redis":
        _servers(settings, section, layers)
    return kind


def _servers(settings: Settings, section: CacheSection, layers: Layers) -> RedisServers:
    if places_of(section) or not places_of(settings.store):
        return redis_servers(section, layers, table="cache")
    return redis_servers(settings.store, layers, table="store")


def _kind(section: CacheSection) -> str:
    if places_of(section):
        return "redis"
    return "memory" if section.path is None else "sqlite"


def _in_redis(settings: Settings, section: CacheSection, layers: Layers, store: SessionStore | None) -> EntryRows:
    from session_router.cache.redis_rows import RedisEntryRows
    from session_router.stores.redis import RedisSessionStore
    from session_router.stores.redis_link import BUDGET_SECONDS, RedisLink

    servers = _servers(settings, section, layers)
    budget = section.budget_seconds
    shared = isinstance(store, RedisSessionStore) and store.servers == servers and budget in {None, store.budget_seconds}
    if shared:
        assert isinstance(store, RedisSessionStore)  # noqa: S101 -- as above
        link = store.link
    else:
        link = RedisLink(servers, budget_seconds=BUDGET_SECONDS if budget is None else budget, feature="cache.url")
    prefix = section.prefix
    if prefix is None and not places_of(section):
        # Deployments that share a server keep their answers apart as they do their sessions.
        prefix = settings.store.prefix
    try:
        rows = RedisEntryRows(link, closes=not shared, **({} if prefix is None else {"prefix": prefix}))
    except ConfigurationError as error:
        raise problem(layers, ("cache", "prefix"), error.value, error.rule) from None
    rows.say_who_searches()
    return rows


def _judge(name: str, specs: Mapping[str, ModelSpec]) -> AnswerJudge:
    try:
        # By name: this package must not depend on the integrations that depend on it.
        integration = importlib.import_module("session_router_langchain.judge")
    except ImportError as error:
        raise MissingExtra(extra="langchain", package="langchain", feature="cache.judge") from error
    judge: AnswerJudge = integration.judge_of(ModelName(name), specs[name])
    return judge


def _opened(path: Path, section: CacheSection, layers: Layers) -> EntryRows:
    from session_router.cache.sqlite_rows import SQLiteEntryRows

    try:
        return SQLiteEntryRows(path)
    except ConfigurationError as error:
        at = ("cache", "path")
        raise ConfigurationError(key=dotted(at), value=section.path, rule=error.rule, source=layers.source_of(at)) from None


def _settings(section: CacheSection) -> CacheSettings:
    settings = CacheSettings(
        time_to_live=timedelta(seconds=section.seconds_to_live),
        categories={name: timedelta(seconds=seconds) for name, seconds in section.categories.items()},
        wrong=section.wrong,
        mistakes=section.mistakes,
        judge_error=section.judge_error,
        serve_similar=section.serve_similar,
        audit_share=section.audit_share,
        audit_dollars_per_day=USD(section.audit_dollars_per_day),
        wait_seconds=section.wait_seconds,
        maximum_entries=section.maximum_entries,
    )
    return settings if section.clearance is None else replace(settings, clearance=Clearance(**section.clearance.model_dump()))
