"""Who may see what: tags on data, clearances of models, and one question, `permits`.

The join of tags is a semilattice: associative, commutative, idempotent, with a top that nothing is cleared
for. Everything unknown is treated as top.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum
from functools import reduce
from math import inf, isnan
from typing import TYPE_CHECKING, Protocol, cast

from session_router.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable


class Level(IntEnum):
    """How sensitive data is."""

    PUBLIC = 0
    INTERNAL = 1
    CONFIDENTIAL = 2
    RESTRICTED = 3


class Integrity(StrEnum):
    """Whether the data can be believed."""

    TRUSTED = "trusted"
    UNTRUSTED = "untrusted"


def _level(value: int, *, key: str) -> Level:
    try:
        return Level(value)
    except ValueError:
        levels = ", ".join(f"{level.value} ({level.name.lower()})" for level in Level)
        raise ConfigurationError(key=key, value=value, rule=f"choose one of {levels}.") from None


def _integrity(value: str) -> Integrity:
    try:
        return Integrity(value)
    except ValueError:
        rule = f"choose one of {', '.join(one.value for one in Integrity)}."
        raise ConfigurationError(key="tag.integrity", value=value, rule=rule) from None


def _name_set(value: object, *, key: str, optional: bool) -> frozenset[str] | None:
    """Return a set of names; a text alone is none, since it would be read letter by letter."""
    if value is None and optional:
        return None
    given: object = value
    names = frozenset(cast("Iterable[object]", value)) if isinstance(value, set | frozenset | list | tuple) else {None}
    if not all(isinstance(name, str) for name in names):
        raise ConfigurationError(key=key, value=given, rule="give a set of names; each is a text.")
    return cast("frozenset[str]", names)


def _check_truth(value: object, *, key: str) -> None:
    # What counts as false would permit: `None` is not known, and not known is no permission.
    if not isinstance(value, bool):
        raise ConfigurationError(key=key, value=value, rule="give True or False.")


def _check_number_or_none(value: object, *, key: str, rule: str) -> None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
        raise ConfigurationError(key=key, value=value, rule=rule)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tag:
    """A governance label on data.

    Attributes:
        level: How sensitive.
        categories: Kinds of data, such as `pii`, `phi`, `pci`, `source_code`.
        regions: Regions that may process it; `None` means any, the empty set means none.
        purposes: Purposes it may serve; `None` means any, the empty set means none.
        tenants: Whose data it is; data of two tenants together may go nowhere.
        subjects: HMACs of the people it is about.
        expires_at: POSIX seconds after which nobody may see it; `None` for never; what is not a number has passed.
        no_train: It must not reach a model that trains on its inputs.
        zero_retention: It must not reach an endpoint that keeps anything.
        integrity: Whether it can be believed.
    """

    level: Level = Level.PUBLIC
    categories: frozenset[str] = frozenset()
    regions: frozenset[str] | None = None
    purposes: frozenset[str] | None = None
    tenants: frozenset[str] = frozenset()
    subjects: frozenset[str] = frozenset()
    expires_at: float | None = None
    no_train: bool = False
    zero_retention: bool = False
    integrity: Integrity = Integrity.TRUSTED

    def __post_init__(self) -> None:
        """Check the values; an expiry that is not a number has passed, since `min` would let a join lose it."""
        if _is_sound(self):
            return
        object.__setattr__(self, "level", _level(self.level, key="tag.level"))
        object.__setattr__(self, "integrity", _integrity(self.integrity))
        for name in ("categories", "tenants", "subjects", "regions", "purposes"):
            names = _name_set(getattr(self, name), key=f"tag.{name}", optional=name in {"regions", "purposes"})
            object.__setattr__(self, name, names)
        _check_truth(self.no_train, key="tag.no_train")
        _check_truth(self.zero_retention, key="tag.zero_retention")
        _check_number_or_none(self.expires_at, key="tag.expires_at", rule="give POSIX seconds, or `None`.")
        if self.expires_at is not None and isnan(self.expires_at):
            object.__setattr__(self, "expires_at", -inf)

    def describe(self) -> str:
        """Say it in one line, for errors and evidence; subjects are counted, not named."""
        parts = [self.level.name.lower(), *sorted(self.categories)]
        if self.regions is not None:
            parts.append(f"regions {_names(self.regions)}")
        if self.purposes is not None:
            parts.append(f"purposes {_names(self.purposes)}")
        if self.tenants:
            parts.append(f"tenant {_names(self.tenants)}")
        if self.subjects:
            parts.append(f"{len(self.subjects)} subjects")
        parts += [name for name in ("no_train", "zero_retention") if getattr(self, name)]
        return "data labelled " + ", ".join(parts)


def _is_sound(tag: Tag) -> bool:
    """Whether a tag needs no second look: every join of two labels makes one."""
    if type(tag.level) is not Level or type(tag.integrity) is not Integrity:
        return False
    if type(tag.no_train) is not bool or type(tag.zero_retention) is not bool or not _is_moment(tag.expires_at):
        return False
    regions = _NO_NAMES if tag.regions is None else tag.regions
    purposes = _NO_NAMES if tag.purposes is None else tag.purposes
    for names in (tag.categories, tag.tenants, tag.subjects, regions, purposes):
        if type(names) is not frozenset:
            return False
        for name in names:
            if type(name) is not str:
                return False
    return True


def _is_moment(value: float | None) -> bool:
    return value is None or (type(value) in {float, int} and value <= inf)


_NO_NAMES: frozenset[str] = frozenset()

PUBLIC = Tag()
"""The bottom: joins with anything without changing it."""

TOP = Tag(
    level=Level.RESTRICTED,
    regions=frozenset(),
    purposes=frozenset(),
    expires_at=-inf,
    no_train=True,
    zero_retention=True,
    integrity=Integrity.UNTRUSTED,
)
"""What unlabelled data is: no clearance permits it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Clearance:
    """What a model, at its endpoint, may see.

    Attributes:
        max_level: The highest level it may see.
        categories: Kinds of data it may see.
        processing_regions: Where it processes; empty means unknown, which satisfies no restriction.
        purposes: Purposes it may serve; `None` means any.
        tenants: Tenants whose data it may see; `None` means any.
        trains: Whether it trains on its inputs; unknown counts as yes.
        retention_seconds: How long the endpoint keeps what it was sent, prompt cache included; `None` is
            unknown, which satisfies no restriction.
        endpoint: Address for which it was attested, such as `https://eu.api.openai.com`; empty for any.
        attested_until: POSIX seconds until which this clearance is valid; `None` for no end.
        version: Name of this clearance in audit records.
    """

    max_level: Level = Level.PUBLIC
    categories: frozenset[str] = frozenset()
    processing_regions: frozenset[str] = frozenset()
    purposes: frozenset[str] | None = None
    tenants: frozenset[str] | None = None
    trains: bool = True
    retention_seconds: float | None = None
    endpoint: str = ""
    attested_until: float | None = None
    version: str = "1"

    def __post_init__(self) -> None:
        """Check the values."""
        object.__setattr__(self, "max_level", _level(self.max_level, key="clearance.max_level"))
        for name in ("categories", "processing_regions", "purposes", "tenants"):
            names = _name_set(getattr(self, name), key=f"clearance.{name}", optional=name in {"purposes", "tenants"})
            object.__setattr__(self, name, names)
        _check_truth(self.trains, key="clearance.trains")
        _check_number_or_none(self.retention_seconds, key="clearance.retention_seconds", rule="give seconds, or `None` for unknown.")
        _check_number_or_none(self.attested_until, key="clearance.attested_until", rule="give POSIX seconds, or `None` for no end.")
        if self.retention_seconds is not None and isnan(self.retention_seconds):
            object.__setattr__(self, "retention_seconds", None)
        if self.attested_until is not None and isnan(self.attested_until):
            object.__setattr__(self, "attested_until", -inf)
        for name in ("endpoint", "version"):
            if not isinstance(getattr(self, name), str):
                raise ConfigurationError(key=f"clearance.{name}", value=getattr(self, name), rule="give a text.")


def join(*tags: Tag) -> Tag:
    """Least upper bound of `tags`; `PUBLIC` for none."""
    return reduce(_join, tags, PUBLIC)


def _join(left: Tag, right: Tag) -> Tag:
    if left == right:
        return left
    return Tag(
        level=max(left.level, right.level),
        categories=left.categories | right.categories,
        regions=_narrower(left.regions, right.regions),
        purposes=_narrower(left.purposes, right.purposes),
        tenants=left.tenants | right.tenants,
        subjects=left.subjects | right.subjects,
        expires_at=_earlier(left.expires_at, right.expires_at),
        no_train=left.no_train or right.no_train,
        zero_retention=left.zero_retention or right.zero_retention,
        integrity=Integrity.UNTRUSTED if Integrity.UNTRUSTED in {left.integrity, right.integrity} else Integrity.TRUSTED,
    )


def _narrower(left: frozenset[str] | None, right: frozenset[str] | None) -> frozenset[str] | None:
    if left is None:
        return right
    return left if right is None else left & right


def _earlier(left: float | None, right: float | None) -> float | None:
    if left is None:
        return right
    return left if right is None else min(left, right)


def join_labels(labels: Iterable[Tag | None], *, unlabelled: Tag = TOP) -> Tag:
    """Join labels of which some may be missing; a missing one counts as `unlabelled`."""
    return join(*(unlabelled if label is None else label for label in labels))


def failing_rule(tag: Tag, clearance: Clearance | None, *, now: float, purpose: str | None = None) -> str | None:  # noqa: C901, PLR0911, PLR0912 -- one line a rule
    """Name the first rule that forbids `clearance` to see `tag`, or `None` when it may.

    Args:
        tag: The join over the exact payload.
        clearance: `None` is an unknown model, which is cleared for nothing.
        now: POSIX seconds; what is not a number is no time, and then nothing is permitted.
        purpose: What the call is for; `None` satisfies no restriction to purposes.
    """
    if clearance is None:
        return "it has no clearance"
    if not now <= inf:
        return "the clock gives no time"
    if tag.level > clearance.max_level:
        return f"level {tag.level.name.lower()} is above its {clearance.max_level.name.lower()}"
    if beyond := tag.categories - clearance.categories:
        return f"not cleared for {', '.join(sorted(beyond))}"
    if tag.regions is not None and not (clearance.processing_regions and clearance.processing_regions <= tag.regions):
        return f"processes in {_names(clearance.processing_regions)}, allowed is {_names(tag.regions)}"
    if tag.purposes is not None and (purpose is None or purpose not in tag.purposes):
        return f"purpose {purpose!r} is not among {_names(tag.purposes)}"
    if clearance.purposes is not None and (purpose is None or purpose not in clearance.purposes):
        return f"does not serve purpose {purpose!r}"
    if len(tag.tenants) > 1:
        return "the data of several tenants came together"
    if clearance.tenants is not None and not tag.tenants <= clearance.tenants:
        return f"not cleared for tenant {_names(tag.tenants)}"
    if tag.no_train and clearance.trains:
        return "it trains on its inputs"
    if tag.zero_retention and clearance.retention_seconds != 0:
        return "it keeps what it is sent"
    # Written as `not (now < limit)` so that a NaN clock denies.
    if tag.expires_at is not None and not now < tag.expires_at:
        return "the data has expired"
    if clearance.attested_until is not None and not now < clearance.attested_until:
        return "its attestation has expired"
    return None


def permits(tag: Tag, clearance: Clearance | None, *, now: float, purpose: str | None = None) -> bool:
    """Whether `clearance` may see `tag`: the one choke point."""
    return failing_rule(tag, clearance, now=now, purpose=purpose) is None


READER = ""
"""Stands for a model's name where rules are asked about a stored answer: those who read it are no model."""


class Rules(Protocol):
    """Rules of the user's own: they may forbid what a clearance permits, and permit nothing beyond it."""

    @property
    def fingerprint(self) -> str:
        """Changes whenever the rules do."""
        ...

    def failing_rule(self, tag: Tag, clearance: Clearance | None, *, model: str, now: float, purpose: str | None = None) -> str | None:
        """Name the first rule that forbids `model` to see `tag`, or `None` when it may; it computes, and asks nobody.

        For those who read a stored answer, `model` is `READER`, and `clearance` that of `policy.cache.reader`.
        """
        ...


def ruled_out(
    tag: Tag, clearance: Clearance | None, rules: Rules | None, *, model: str, now: float, purpose: str | None = None
) -> str | None:
    """Do what `failing_rule` does, and ask `rules` as well; what they say is believed only where it forbids.

    Args:
        tag: The join over the exact payload.
        clearance: The model's.
        rules: The user's own; `None` for none.
        model: Its name.
        now: POSIX seconds.
        purpose: What the call is for.
    """
    rule = failing_rule(tag, clearance, now=now, purpose=purpose)
    if rule is not None or rules is None:
        return rule
    try:
        told: object = rules.failing_rule(tag, clearance, model=model, now=now, purpose=purpose)
    except Exception as error:  # noqa: BLE001 -- whatever it is, nothing was permitted
        return f"the rules failed ({type(error).__name__})"
    if told is None:
        return None
    # The rules are the user's: what is neither a rule nor `None` is no permission.
    return told if isinstance(told, str) and told else "the rules gave no answer"  # pyright: ignore[reportUnnecessaryIsInstance] -- callers are not all typed


def _names(values: frozenset[str]) -> str:
    return ", ".join(sorted(values)) or "none"
