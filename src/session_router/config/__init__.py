"""Files and environment -> a router. A wrong setting names the file, the key, the value and the rule.

    router = load_router("router.toml")

What counts, the first one first: arguments in Python, `SESSION_ROUTER__SECTION__KEY` variables, the file.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from types import NoneType
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from session_router.config.building import (
    KEY_VARIABLE,
    build_audit,
    build_clearances,
    build_health,
    build_key,
    build_models,
    build_policy,
    check_audit,
    shared_files,
    unknown_names,
)
from session_router.config.cache import build_cache, kind_of_cache
from session_router.config.detectors import build_detectors
from session_router.config.environment import Layers, layered, without_effect
from session_router.config.files import read_table
from session_router.config.prices import Priced, build_prices
from session_router.config.problems import problems_of, raised
from session_router.config.schema import Settings
from session_router.config.scorer import build_scorer
from session_router.config.store import build_store, kind_of_store
from session_router.core.checking import check_kind
from session_router.errors import ConfigurationError, MissingExtra
from session_router.files.paths import path_of
from session_router.identity import key_from_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from session_router.cache.rows import EntryRows
    from session_router.cache.semantic import SemanticCache
    from session_router.core.governance import Clearance
    from session_router.core.policy import Policy
    from session_router.ports import AuditLog, Clock, Detector, Observer, ResponseCache, Scorer, SessionStore
    from session_router.router import Router

__all__ = [
    "Priced",
    "Settings",
    "check_configuration",
    "load_cache",
    "load_governance",
    "load_key",
    "load_prices",
    "load_router",
    "load_settings",
    "load_store",
]

PATH_VARIABLE = "SESSION_ROUTER_CONFIG"

logger = logging.getLogger("session_router")


def load_settings(path: str | os.PathLike[str] | None = None, *, environment: Mapping[str, str] | None = None) -> Settings:
    """Read a configuration and check its shape.

    Args:
        path: A `.toml`, `.yaml` or `.yml` file; `SESSION_ROUTER_CONFIG` names it when it is not given.
        environment: Variables to read instead of the process's.

    Raises:
        ConfigurationError: The file cannot be read, or a setting is wrong; `ConfigurationErrors` when several are.
        MissingExtra: The file is YAML and pyyaml is not installed.
    """
    return _settings(_layers(path, os.environ if environment is None else environment))


def load_router(  # noqa: PLR0913 -- each is one port of the router
    path: str | os.PathLike[str] | None = None,
    *,
    models: Mapping[str, Any] | None = None,
    policy: Policy | None = None,
    experienced: bool = True,
    store: SessionStore | None = None,
    scorer: Scorer | None = None,
    cache: ResponseCache | None = None,
    cached: bool = True,
    audit: AuditLog | None = None,
    audited: bool = True,
    detectors: Sequence[Detector] | None = None,
    observers: Sequence[Observer] = (),
    clock: Clock | None = None,
    key: bytes | None = None,
    environment: Mapping[str, str] | None = None,
) -> Router:
    """Read a configuration and build the router it describes.

    Args:
        path: A `.toml`, `.yaml` or `.yml` file; `SESSION_ROUTER_CONFIG` names it when it is not given.
        models: Chat models that take the place of the file's `model` strings, by name.
        policy: Instead of the file's `[policy]`.
        experienced: Whether the file's `policy.experience` counts; if not, it is not read.
        store: Instead of the file's `[store]`, which is then not opened.
        scorer: Instead of the file's `[scorer]`, which is then not read.
        cache: Instead of the file's `[cache]`, which is then not opened.
        cached: Whether the file's `[cache]` counts; if not, it is not opened either.
        audit: Instead of the file's `[audit]`, which is then not opened.
        audited: Whether the file's `[audit]` counts; if not, it is not opened.
        detectors: Instead of the file's `[detectors]`, which are then not made.
        observers: As in `Router`.
        clock: As in `Router`.
        key: Of session identities, instead of `SESSION_ROUTER_KEY` and the file's `key`. Files are checked and sealed with those.
        environment: Variables to read instead of the process's.

    Raises:
        ConfigurationError: The file cannot be read, or a setting is wrong; `ConfigurationErrors` when several are.
        MissingExtra: What the file names needs a package that is not installed.
        AuditError: The audit log cannot be opened.
    """
    from session_router.router import Router

    check_kind(models, (Mapping, NoneType), key="models", rule="give a mapping of model names to chat models.")
    environment = os.environ if environment is None else environment
    layers = _layers(path, environment)
    settings = _settings(layers)
    specs = build_models(settings, models or {}, layers)
    own_key = build_key(settings, environment, layers)
    if scorer is None:
        scorer = build_scorer(settings, layers, key=own_key)
    if audit is None and audited:
        audit = build_audit(settings, own_key, layers)
    key = own_key if key is None else key
    if store is None:
        store, key = build_store(settings, key, layers)
    return Router(
        specs,
        policy=build_policy(settings, layers, experienced=experienced) if policy is None else policy,
        store=store,
        scorer=scorer,
        cache=build_cache(settings, own_key, layers, specs=specs, store=store) if cache is None and cached else cache,
        audit=audit,
        detectors=build_detectors(settings, layers) if detectors is None else detectors,
        observers=observers,
        clock=clock,
        key=key,
        health=build_health(settings),
    )


def load_prices(path: str | os.PathLike[str] | None = None, *, environment: Mapping[str, str] | None = None) -> dict[str, Priced]:
    """Read a configuration and find what each of its models costs, without building a router.

    Args:
        path: A `.toml`, `.yaml` or `.yml` file; `SESSION_ROUTER_CONFIG` names it when it is not given.
        environment: Variables to read instead of the process's.

    Raises:
        ConfigurationError: The file cannot be read, or a setting is wrong; `ConfigurationErrors` when several are.
        MissingExtra: The file is YAML and pyyaml is not installed.
    """
    layers = _layers(path, os.environ if environment is None else environment)
    settings = _settings(layers)
    priced, problems = build_prices(settings, layers)
    if problems := [*unknown_names(settings, {}, layers), *problems]:
        raise raised(problems)
    return priced


def load_cache(
    path: str | os.PathLike[str] | None = None,
    *,
    rows: EntryRows | None = None,
    certificates: EntryRows | None = None,
    environment: Mapping[str, str] | None = None,
) -> SemanticCache | None:
    """Read a configuration and build its cache alone; `None` where it has none.

    Args:
        path: A `.toml`, `.yaml` or `.yml` file; `SESSION_ROUTER_CONFIG` names it when it is not given.
        rows: Where entries lie instead.
        certificates: Where audits are counted instead.
        environment: Variables to read instead of the process's.

    Raises:
        ConfigurationError: The file cannot be read, or a setting is wrong; `ConfigurationErrors` when several are.
        MissingExtra: The file is YAML and pyyaml is not installed, or there is an embedder and FAISS is not.
    """
    environment = os.environ if environment is None else environment
    layers = _layers(path, environment)
    settings = _settings(layers)
    return build_cache(settings, build_key(settings, environment, layers), layers, rows=rows, certificates=certificates)


def load_store(path: str | os.PathLike[str] | None = None, *, environment: Mapping[str, str] | None = None) -> SessionStore:
    """Read a configuration and open its store, without building a router.

    Args:
        path: A `.toml`, `.yaml` or `.yml` file; `SESSION_ROUTER_CONFIG` names it when it is not given.
        environment: Variables to read instead of the process's.

    Raises:
        ConfigurationError: The file cannot be read, or a setting is wrong; `ConfigurationErrors` when several are.
        MissingExtra: The file is YAML and pyyaml is not installed, or the store is Redis and redis-py is not.
    """
    environment = os.environ if environment is None else environment
    layers = _layers(path, environment)
    settings = _settings(layers)
    store, _ = build_store(settings, build_key(settings, environment, layers), layers)
    return store


def load_governance(
    path: str | os.PathLike[str] | None = None, *, environment: Mapping[str, str] | None = None
) -> tuple[Policy, dict[str, Clearance | None]]:
    """Read what a configuration says about who may see what, without building a router.

    Args:
        path: A `.toml`, `.yaml` or `.yml` file; `SESSION_ROUTER_CONFIG` names it when it is not given.
        environment: Variables to read instead of the process's.

    Returns:
        The policy, and the clearance of every model.

    Raises:
        ConfigurationError: The file cannot be read, or a setting is wrong; `ConfigurationErrors` when several are.
        MissingExtra: The file is YAML and pyyaml is not installed.
    """
    layers = _layers(path, os.environ if environment is None else environment)
    settings = _settings(layers)
    return build_policy(settings, layers, experienced=False), build_clearances(settings)


def check_configuration(path: str | os.PathLike[str] | None = None, *, environment: Mapping[str, str] | None = None) -> None:
    """See whether a configuration makes sense as a whole, as far as it and its prices tell: nothing else is read, opened or built.

    Args:
        path: A `.toml`, `.yaml` or `.yml` file; `SESSION_ROUTER_CONFIG` names it when it is not given.
        environment: Variables to read instead of the process's.

    Raises:
        ConfigurationError: The file cannot be read, or a setting is wrong; `ConfigurationErrors` when several are.
        MissingExtra: The file is YAML and pyyaml is not installed.
    """
    environment = os.environ if environment is None else environment
    layers = _layers(path, environment)
    settings = _settings(layers)
    problems = [*unknown_names(settings, {}, layers), *build_prices(settings, layers)[1]]
    cache = settings.cache
    for check in (
        lambda: build_key(settings, environment, layers),
        lambda: build_policy(settings, layers, experienced=False),
        lambda: kind_of_store(settings, layers),
        lambda: None if cache is None else kind_of_cache(settings, cache, layers),
        lambda: check_audit(settings, layers),
    ):
        try:
            check()
        except MissingExtra:
            raise
        except ConfigurationError as error:
            problems.append(error)
    if problems:
        raise raised(problems)


def load_key(path: str | os.PathLike[str] | None = None, *, environment: Mapping[str, str] | None = None) -> bytes | None:
    """Read the key that a configuration gives: `SESSION_ROUTER_KEY`, else the file's; `None` when neither is there.

    Args:
        path: A `.toml`, `.yaml` or `.yml` file; without one, and without `SESSION_ROUTER_CONFIG`, only the variable counts.
        environment: Variables to read instead of the process's.

    Raises:
        ConfigurationError: The file cannot be read, or the key is not hex, or too short.
    """
    environment = os.environ if environment is None else environment
    if path is None and not environment.get(PATH_VARIABLE):
        text = environment.get(KEY_VARIABLE)
        return key_from_text(text, source=f"environment variable {KEY_VARIABLE}") if text else None
    layers = _layers(path, environment)
    return build_key(_settings(layers), environment, layers)


def _layers(path: str | os.PathLike[str] | None, environment: Mapping[str, str]) -> Layers:
    check_kind(environment, Mapping, key="environment", rule="give a mapping of variables to texts, such as `os.environ`.")
    if wrong := [name for name, text in environment.items() if not isinstance(text, str)]:  # pyright: ignore[reportUnnecessaryIsInstance] -- callers are not all typed
        raise ConfigurationError(key="environment", value=wrong, rule="the values of these must be texts, as in `os.environ`.")
    where = environment.get(PATH_VARIABLE) if path is None else path
    if where is None or where == "":
        rule = "name a configuration file in this variable, or give its path (on the command line, `--config`)."
        raise ConfigurationError(key=PATH_VARIABLE, value=None, rule=rule)
    file = path_of(where, key="config")
    try:
        layers = layered(read_table(file), environment, source=str(file))
    except RecursionError:
        rule = "write out what it stands for; no setting is deeper than four tables."
        raise ConfigurationError(key="syntax", value="an anchor that holds itself", rule=rule, source=str(file)) from None
    for variable in without_effect(environment, Settings.model_fields.keys() - {"key"}, layers):
        logger.warning(
            "the variable %s sets nothing: two underscores stand before each name, as in SESSION_ROUTER__POLICY__STAKE", variable
        )
    return layers


def _settings(layers: Layers) -> Settings:
    if layers.problems:
        raise raised(layers.problems)
    try:
        settings = Settings.model_validate(layers.values)
    except ValidationError as error:
        # Without its cause: pydantic's error holds the values, and one of them may be a secret.
        problems = problems_of(error, layers)
    else:
        problems = shared_files(settings, layers)
        if not problems:
            return settings
    raise raised(problems)
