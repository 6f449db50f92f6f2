"""Frozen settings; a policy has a version, and every decision names it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum
from types import NoneType

from session_router.core.cache_terms import CacheRules
from session_router.core.checking import DOLLARS_RULE, LARGEST_DOLLARS, check_kind, check_methods, check_number, own_numbers
from session_router.core.experience import Experience
from session_router.core.governance import TOP, Clearance, Level, Rules, Tag, ruled_out
from session_router.core.upgrades import UpgradeWatch
from session_router.errors import ConfigurationError


class OnUnportable(StrEnum):
    """What to do when a better model cannot take the history as it is."""

    STAY = "stay"
    CONVERT = "convert"
    RAISE = "raise"


SOURCES = ("system", "human", "ai", "tool", "schemas", "provider")
"""Where data comes from: messages by who speaks, the schemas of tools and answers, and what a provider keeps of a conversation that
its session does not know of."""


class OnDenied(StrEnum):
    """What is tried where no model may see the whole request, before it is refused."""

    WITHHOLD = "withhold"
    """Each message that the model may not see is replaced by a notice, for the request only."""
    FRESH = "fresh"
    """The model is sent what was said last and what followed it, behind the system messages that it may see."""


LEAST_DELTA = 1e-9
"""Chances below are no statement about the world."""

LEAST_DETECTOR_SECONDS, MOST_DETECTOR_SECONDS = 0.001, 60.0
"""Whoever waits for a detector waits for a bounded time."""

MOST_EXPLORATION = 0.5
"""Beyond, the policy would no longer be what decides."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Frozen settings. Two policies with the same settings have the same version.

    Attributes:
        default: The model for calls before any human message, and for calls that nothing else decides; `None` for the
            model with the least expected dollars and the first route.
        stake: US dollars that a badly served segment costs the user.
        margin: Share of the current model's expected dollars, in [0, 1), that a switch must save: of the segment and what follows,
            less the segment's risk that is left on every model.
        cooldown: Turns after a switch in which no other follows while predictions are trusted, >= 0.
        patience: Boundaries in a row at which a model with a cheaper loop would have been the best, after which the
            session moves to it whatever margin and cooldown say; 0 for never.
        cap: What switching may cost: expected dollars stay below 1 + `cap` times those of never switching, at every
            boundary of a session; `None` for no cap.
        handoff: US dollars that a switch costs besides what the new model reads.
        output_tokens: Output tokens that a call is assumed to have while nobody has counted any.
        on_unportable: What to do when a better model cannot take the history as it is.
        experience: Past sessions, as `session-router learn` wrote them; `None` for none.
        reference: The model that a cheaper one stands in for only where that is certified; `None` for no risk gate.
        alpha: Largest share of segments, in [0, 1), that a model which stands in for the reference may under-serve.
        delta: Chance, in (0, 1), that a certificate may be wrong.
        explore: Share of boundaries, in [0, 0.5], at which another model than the policy's own choice is tried; 0 for none.
        explore_dollars: US dollars of expected excess over the policy's own choices that one session may spend on that; while
            nothing of it is left, nothing is tried.
        upgrades: Watches how often dearer models are asked for, and caps that; `None` for no watch.
        cache: With whom stored answers are shared, and for how long they count.
        unlabelled: The tag of data that nobody labelled, once governance is in use.
        undetected: The tag that a text is raised by where a detector failed or was late.
        detector_seconds: How long one detector may take over one text, in seconds.
        tools: The tags of what tools return, by the tool's name.
        sources: The tags of what nobody labelled, by where it comes from (`SOURCES`), instead of `unlabelled`; a message's own label,
            or a system prompt's, can raise that, and not lower it.
        on_denied: What is tried, in this order, where no model may see the whole request; nothing for a refusal.
        rules: Rules of your own, such as `CedarRules`, that are asked wherever a model's clearance is; `None` for none.
        recorded_from: Data of this level and above goes to no model, and is replayed to nobody, while the audit log cannot be written.
        version: Twelve hex digits over all other settings.

    Raises:
        ConfigurationError: A setting is out of its range.
    """

    default: str | None = None
    stake: float = 0.1
    margin: float = 0.03
    cooldown: int = 0
    patience: int = 3
    cap: float | None = 0.5
    handoff: float = 0.0
    output_tokens: int = 400
    on_unportable: OnUnportable = OnUnportable.CONVERT
    experience: Experience | None = None
    reference: str | None = None
    alpha: float = 0.1
    delta: float = 0.05
    explore: float = 0.0
    explore_dollars: float = 0.0
    upgrades: UpgradeWatch | None = None
    cache: CacheRules = field(default_factory=CacheRules)
    unlabelled: Tag = TOP
    undetected: Tag = TOP
    detector_seconds: float = 5.0
    tools: Mapping[str, Tag] = field(default_factory=dict[str, Tag])
    sources: Mapping[str, Tag] = field(default_factory=dict[str, Tag])
    on_denied: tuple[OnDenied, ...] = ()
    rules: Rules | None = None
    recorded_from: Level = Level.CONFIDENTIAL
    version: str = field(default="", init=False)

    def __post_init__(self) -> None:
        """Check the values."""
        check_kind(self.default, (str, NoneType), key="policy.default", rule="give the name of a route.")
        check_number(self.margin, key="policy.margin", rule="give a share in [0, 1).", below=1.0)
        check_number(self.cooldown, key="policy.cooldown", rule="give a number of turns >= 0.", whole=True)
        check_number(self.patience, key="policy.patience", rule="give a number of boundaries >= 0.", whole=True)
        if self.cap is not None:
            check_number(self.cap, key="policy.cap", rule="give a share >= 0, or `None`.")
        for name in ("stake", "handoff", "explore_dollars"):
            check_number(getattr(self, name), key=f"policy.{name}", rule=DOLLARS_RULE, high=LARGEST_DOLLARS)
        check_number(self.output_tokens, key="policy.output_tokens", rule="give a number of tokens >= 0.", whole=True)
        check_kind(self.reference, (str, NoneType), key="policy.reference", rule="give the name of a route.")
        check_number(self.alpha, key="policy.alpha", rule="give a share in [0, 1).", below=1.0)
        check_number(self.delta, key="policy.delta", rule="give a chance in (0, 1).", low=LEAST_DELTA, below=1.0)
        check_number(self.explore, key="policy.explore", rule=f"give a share in [0, {MOST_EXPLORATION}].", high=MOST_EXPLORATION)
        check_kind(self.upgrades, (UpgradeWatch, NoneType), key="policy.upgrades", rule="give an `UpgradeWatch`.")
        check_kind(self.cache, CacheRules, key="policy.cache", rule="give `CacheRules(...)`.")
        for name in ("unlabelled", "undetected"):
            check_kind(getattr(self, name), Tag, key=f"policy.{name}", rule="give a `Tag`.")
        rule = f"give seconds, at least {LEAST_DETECTOR_SECONDS:g} and at most {MOST_DETECTOR_SECONDS:g}."
        check_number(
            self.detector_seconds, key="policy.detector_seconds", rule=rule, low=LEAST_DETECTOR_SECONDS, high=MOST_DETECTOR_SECONDS
        )
        try:
            object.__setattr__(self, "on_denied", tuple(map(OnDenied, self.on_denied)))
        except (TypeError, ValueError):
            allowed = ", ".join(repr(option.value) for option in OnDenied)
            rule = f"give a list of {allowed}, in the order in which they are tried."
            raise ConfigurationError(key="policy.on_denied", value=self.on_denied, rule=rule) from None
        check_kind(self.recorded_from, Level, key="policy.recorded_from", rule="give a `Level`.")
        for name in ("tools", "sources"):
            check_kind(getattr(self, name), Mapping, key=f"policy.{name}", rule="give a mapping of names to `Tag`s.")
            for one, tag in getattr(self, name).items():
                check_kind(tag, Tag, key=f"policy.{name}.{one}", rule="give a `Tag`.")
        for one in self.sources:
            if one not in SOURCES:
                raise ConfigurationError(key=f"policy.sources.{one}", value=one, rule=f"choose among {', '.join(map(repr, SOURCES))}.")
        try:
            object.__setattr__(self, "on_unportable", OnUnportable(self.on_unportable))
        except ValueError:
            allowed = ", ".join(repr(option.value) for option in OnUnportable)
            raise ConfigurationError(key="policy.on_unportable", value=self.on_unportable, rule=f"choose one of {allowed}.") from None
        check_kind(self.experience, (Experience, NoneType), key="policy.experience", rule="give an `Experience`.")
        self._check_rules()
        own_numbers(self, "margin", "cap", "stake", "handoff", "explore_dollars", "alpha", "delta", "explore")
        settings = {one.name: getattr(self, one.name) for one in fields(self) if one.name != "version"}
        settings["rules"] = None if self.rules is None else self.rules.fingerprint
        plain = json.dumps(settings, sort_keys=True, default=_plain)
        object.__setattr__(self, "version", hashlib.blake2b(plain.encode(), digest_size=6).hexdigest())

    def _check_rules(self) -> None:
        if self.rules is not None:
            check_methods(self.rules, "failing_rule", key="policy.rules", rule="give rules, such as `CedarRules(...)`.")
            check_kind(getattr(self.rules, "fingerprint", None), str, key="policy.rules.fingerprint", rule="give a text.")

    def failing_rule(self, tag: Tag, clearance: Clearance | None, *, model: str, now: float, purpose: str | None = None) -> str | None:
        """Name the first rule that forbids `model` to see `tag`, or `None` when it may: the one question of governance.

        Args:
            tag: The join over the exact payload.
            clearance: The model's; `None` is an unknown model, which is cleared for nothing.
            model: Its name.
            now: POSIX seconds.
            purpose: What the call is for.
        """
        return ruled_out(tag, clearance, self.rules, model=model, now=now, purpose=purpose)


def _plain(value: object) -> object:
    if isinstance(value, frozenset):
        return sorted(map(str, value))  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType] -- `isinstance` cannot tell the elements' type
    if isinstance(value, Tag | UpgradeWatch | CacheRules):
        return asdict(value)
    if isinstance(value, Experience):
        return value.fingerprint
    msg = f"{value!r} has no place in a policy"
    raise TypeError(msg)
