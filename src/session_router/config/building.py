"""Settings -> the objects of the core. What needs two settings at once is checked here."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from session_router.config.cache import build_cache_rules
from session_router.config.environment import dotted
from session_router.config.files import beside
from session_router.config.prices import build_prices
from session_router.config.problems import did_you_mean, raised, stated_at
from session_router.core.breaker import BreakerSettings
from session_router.core.experience import Experience
from session_router.core.governance import TOP, Clearance, Tag
from session_router.core.health import HealthRules
from session_router.core.model import ModelSpec
from session_router.core.policy import Policy
from session_router.core.upgrades import UpgradeWatch
from session_router.errors import ConfigurationError, MissingExtra
from session_router.files.paths import is_same_file, path_of
from session_router.identity import key_from_text

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from session_router.config.environment import Layers
    from session_router.config.environment import Path as KeyPath
    from session_router.config.prices import Priced
    from session_router.config.schema import ModelSection, Settings, UpgradesSection
    from session_router.core.governance import Rules
    from session_router.ports import AuditLog

KEY_VARIABLE = "SESSION_ROUTER_KEY"


def build_policy(settings: Settings, layers: Layers, *, experienced: bool = True) -> Policy:
    """Make the policy.

    Raises:
        ConfigurationError: The experience or the Cedar policies cannot be read, or exploration has no budget.
        MissingExtra: There are Cedar policies, and cedarpy is not installed.
    """
    section = settings.policy
    if section.explore and not section.explore_dollars:
        rule = "give `policy.explore_dollars` as well, what one session may spend on it: without a budget nothing is explored."
        raise _problem(layers, ("policy", "explore"), section.explore, rule)
    with stated_at(("policy",), layers):
        return Policy(
            default=section.default,
            stake=section.stake,
            margin=section.margin,
            cooldown=section.cooldown,
            patience=section.patience,
            reference=section.reference,
            alpha=section.alpha,
            delta=section.delta,
            explore=section.explore,
            explore_dollars=section.explore_dollars,
            upgrades=None if section.upgrades is None else _watch(section.upgrades, layers),
            cap=section.cap,
            handoff=section.handoff,
            output_tokens=section.output_tokens,
            on_unportable=section.on_unportable,
            cache=build_cache_rules(settings.cache),
            on_denied=section.on_denied,
            rules=None if section.rules is None else _rules(section.rules, layers),
            recorded_from=section.recorded_from,
            tools={name: Tag(**one.model_dump()) for name, one in section.tools.items()},
            sources={name: Tag(**one.model_dump()) for name, one in section.sources.items()},
            experience=None if section.experience is None or not experienced else _experience(section.experience, layers),
            unlabelled=TOP if section.unlabelled is None else Tag(**section.unlabelled.model_dump()),
            undetected=TOP if section.undetected is None else Tag(**section.undetected.model_dump()),
            detector_seconds=section.detector_seconds,
        )


def _watch(section: UpgradesSection, layers: Layers) -> UpgradeWatch:
    try:
        return UpgradeWatch(**section.model_dump())
    except ConfigurationError as error:
        raise _problem(layers, ("policy", "upgrades", error.key), error.value, error.rule) from None


def _experience(path: str, layers: Layers) -> Experience:
    at = ("policy", "experience")
    try:
        return Experience.from_plain(json.loads(beside(layers.source, path).read_bytes()))
    except OSError as error:
        rule = f"it cannot be read ({error.strerror or error}); name a file that `session-router learn` wrote."
    except (ValueError, RecursionError) as error:
        reason = str(error) if type(error) is ValueError else type(error).__name__
        rule = f"{reason}; name a file that `session-router learn` wrote."
    raise _problem(layers, at, path, rule)


def _rules(path: str, layers: Layers) -> Rules:
    from session_router.cedar import CedarRules

    at = ("policy", "rules")
    try:
        return CedarRules(path_of(beside(layers.source, path), key=dotted(at)).read_text(encoding="utf-8-sig"))
    except OSError as error:
        rule = f"it cannot be read ({error.strerror or error}); name a file with Cedar policies."
    except UnicodeDecodeError:
        rule = "it is no text in UTF-8; name a file with Cedar policies."
    except MissingExtra:
        raise
    except ConfigurationError as error:
        rule = error.rule
    raise _problem(layers, at, path, rule)


def build_health(settings: Settings) -> HealthRules | None:
    """Say when a model counts as unhealthy; `None` where the configuration wants no notice of health."""
    section = settings.health
    if not section.enabled:
        return None
    breaker = BreakerSettings(
        failures=section.failures,
        within_seconds=section.within_seconds,
        first_pause_seconds=section.first_pause_seconds,
        longest_pause_seconds=section.longest_pause_seconds,
    )
    return HealthRules(
        breaker=breaker,
        probe_seconds=section.probe_seconds,
        retry_share=section.retry_share,
        retry_burst=section.retry_burst,
        backoff_seconds=section.backoff_seconds,
        wait_seconds=section.wait_seconds,
        refresh_seconds=section.refresh_seconds,
    )


def build_clearances(settings: Settings) -> dict[str, Clearance | None]:
    """Make the clearance of every route; `None` where the file has none."""
    return {name: _clearance(section) for name, section in settings.models.items()}


def _clearance(section: ModelSection) -> Clearance | None:
    return None if section.clearance is None else Clearance(**section.clearance.model_dump())


def build_models(settings: Settings, replacements: Mapping[str, Any], layers: Layers) -> dict[str, ModelSpec]:
    """Make every route; `replacements` are chat models that Python brings.

    Raises:
        ConfigurationError: A model has no price, two, or nothing behind it, or a name is unknown.
    """
    known = settings.models
    problems = unknown_names(settings, replacements, layers)
    priced, wrong = build_prices(settings, layers)
    problems += wrong
    problems += [
        _problem(layers, ("models", name, "model"), None, "give a string such as 'openai:gpt-5-mini'.")
        for name, section in known.items()
        if section.model is None and name not in replacements
    ]
    if problems:
        raise raised(problems)
    return {name: _spec(section, priced[name], name, replacements, layers) for name, section in known.items()}


def unknown_names(settings: Settings, replacements: Mapping[str, Any], layers: Layers) -> list[ConfigurationError]:
    """Return what is wrong with names that stand for models."""
    known, policy = settings.models, settings.policy
    stated: list[tuple[KeyPath, str, object]] = [(("models", name), name, None) for name in replacements]
    chosen: list[tuple[KeyPath, str | None]] = [(("policy", "default"), policy.default), (("policy", "reference"), policy.reference)]
    if settings.cache is not None:
        chosen.append((("cache", "judge"), settings.cache.judge))
    stated += [(path, name, name) for path, name in chosen if name is not None]
    return [
        _problem(layers, path, value, f"there is no model of this name; {did_you_mean(name, known)}")
        for path, name, value in stated
        if name not in known
    ]


def shared_files(settings: Settings, layers: Layers) -> list[ConfigurationError]:
    """Return which settings name a file that another one writes to, however it is spelt."""
    stated: list[tuple[KeyPath, str | None]] = [
        (("store", "path"), settings.store.path),
        (("cache", "path"), None if settings.cache is None else settings.cache.path),
        (("audit", "path"), settings.audit.path),
        (("audit", "head"), settings.audit.head),
    ]
    problems: list[ConfigurationError] = []
    places: dict[KeyPath, Path] = {}
    for path, text in stated:
        if text is None:
            continue
        place = beside(layers.source, text)
        first = next((other for other, taken in places.items() if is_same_file(place, taken)), None)
        if first is None:
            places[path] = place
        else:
            rule = f"`{dotted(first)}` names the same file; give each of them one of its own."
            problems.append(_problem(layers, path, text, rule))
    return problems


def _problem(layers: Layers, path: KeyPath, value: object, rule: str) -> ConfigurationError:
    return ConfigurationError(key=dotted(path), value=value, rule=rule, source=layers.source_of(path))


def _spec(section: ModelSection, priced: Priced, name: str, replacements: Mapping[str, Any], layers: Layers) -> ModelSpec:
    with stated_at(("models", name), layers):
        return ModelSpec(
            model=replacements.get(name, section.model),
            prices=priced.prices,
            context_window=section.context_window,
            capabilities=section.capabilities,
            clearance=_clearance(section),
            provider_ids=section.provider_ids,
            dialect=section.dialect,
            account=section.account,
            skill=section.skill,
            settings=section.settings,
            prompt_cache=priced.prompt_cache,
            source=layers.source_of(("models", name, "model")) or "",
        )


def build_key(settings: Settings, environment: Mapping[str, str], layers: Layers) -> bytes | None:
    """Read the key of session identities: `SESSION_ROUTER_KEY`, else the file's; `None` when neither is there.

    Raises:
        ConfigurationError: It is not hex, or too short.
    """
    if text := environment.get(KEY_VARIABLE):
        return key_from_text(text, source=f"environment variable {KEY_VARIABLE}")
    if settings.key is None:
        return None
    return key_from_text(settings.key.get_secret_value(), source=layers.source_of(("key",)) or "`key`")


def check_audit(settings: Settings, layers: Layers) -> None:
    """See that the log has a file, if anything of it has.

    Raises:
        ConfigurationError: It has not.
    """
    if settings.audit.path is None and settings.audit.head is not None:
        raise _problem(layers, ("audit", "path"), None, "`audit.head` needs it: name the file of the log.")


def build_audit(settings: Settings, key: bytes | None, layers: Layers) -> AuditLog | None:
    """Open the audit log; `None` when the configuration names none.

    Args:
        settings: The configuration.
        key: The configuration's own; a log keeps its own beside it when none is given.
        layers: Where it came from.

    Raises:
        ConfigurationError: A setting is wrong.
        AuditError: The log cannot be opened.
    """
    check_audit(settings, layers)
    section = settings.audit
    if section.path is None:
        return None
    from session_router.audit.file import AuditFile

    head = None if section.head is None else beside(layers.source, section.head)
    try:
        return AuditFile(beside(layers.source, section.path), key=key, head=head, sync_seconds=section.sync_seconds)
    except ConfigurationError as error:
        part = error.key.rpartition(".")[2]
        raise _problem(layers, ("audit", part if part == "head" else "path"), error.value, error.rule) from None
