"""Which labels can go where: every model, every label that a policy names, and the least that leaves nobody."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from session_router.core.governance import PUBLIC, Clearance, Level, Tag
from session_router.core.label_row import clearance_to_plain, tag_to_plain

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from session_router.core.policy import Policy

MOST_COMBINATIONS = 200
"""Of what leaves nobody, the smallest ones are told."""

_MOST_IN_THE_MAKING = 4_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """A label that a policy or a clearance names.

    Attributes:
        kind: `level`, `category`, `region`, `tenant`, `purpose`, `rule`, `tool`, `source` or `unlabelled`.
        name: Which one.
        tag: What it says.
        declared: Whether the policy declares it for data of its own, which must then be able to go somewhere.
    """

    kind: str
    name: str
    tag: Tag
    declared: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Whether one model may see what bears one label.

    Attributes:
        rule: The first rule that forbids it, whatever the call is for; empty when it may.
        purposes: The purposes for which it may; `None` for any, and for none at all.
    """

    rule: str
    purposes: tuple[str, ...] | None

    @property
    def permitted(self) -> bool:
        """Whether it may, for some purpose."""
        return not self.rule


@dataclass(frozen=True, slots=True, kw_only=True)
class Combination:
    """Labels that together leave nobody; without any one of them, somebody is left.

    Attributes:
        labels: Their names; empty when even public data can go nowhere.
        purpose: What the call is for; `None` for nothing stated.
    """

    labels: tuple[str, ...]
    purpose: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClearanceCheck:
    """What a policy comes to.

    Attributes:
        clearances: Every model; `None` for no clearance.
        policy: The policy's version.
        at: POSIX seconds at which it was looked at.
        verdicts: By label and model.
        unroutable: The least combinations that leave nobody.
        more: Whether there are more than are told.
        unusable: Models that may see nothing, not even what is public, with the rule.
        nowhere: Labels that the policy declares, and that can go nowhere.
    """

    clearances: Mapping[str, Clearance | None]
    policy: str
    at: float
    verdicts: Mapping[Label, Mapping[str, Verdict]]
    unroutable: tuple[Combination, ...]
    more: bool
    unusable: Mapping[str, str]
    nowhere: tuple[Label, ...]

    @property
    def in_use(self) -> bool:
        """Whether anybody asks who may see what."""
        return any(clearance is not None for clearance in self.clearances.values()) or any(label.declared for label in self.verdicts)

    @property
    def sound(self) -> bool:
        """Whether every model can be used and every declared label can go somewhere."""
        return not self.in_use or not (self.unusable or self.nowhere)

    def to_plain(self) -> dict[str, Any]:
        """Return JSON-ready values."""
        return {
            "at": self.at,
            "policy": self.policy,
            "in_use": self.in_use,
            "sound": self.sound,
            "models": {name: None if one is None else clearance_to_plain(one) for name, one in self.clearances.items()},
            "labels": [
                {
                    "kind": label.kind,
                    "name": label.name,
                    "declared": label.declared,
                    "tag": tag_to_plain(label.tag),
                    "models": {
                        name: {
                            "permitted": verdict.permitted,
                            "purposes": None if verdict.purposes is None else list(verdict.purposes),
                            "rule": verdict.rule or None,
                        }
                        for name, verdict in verdicts.items()
                    },
                }
                for label, verdicts in self.verdicts.items()
            ],
            "unroutable": [{"labels": list(one.labels), "purpose": one.purpose} for one in self.unroutable],
            "more_unroutable": self.more,
            "unusable": dict(self.unusable),
            "nowhere": [{"kind": label.kind, "name": label.name} for label in self.nowhere],
        }


def check_clearances(clearances: Mapping[str, Clearance | None], policy: Policy, *, now: float) -> ClearanceCheck:
    """Look at every label that `policy` or a clearance names, on every model, at `now` (POSIX seconds)."""
    declared = _declared(policy)
    purposes = sorted({one for names in _named(clearances, declared, "purposes") for one in names})
    parts = _parts(clearances, declared)
    labels = [Label(kind="level", name="public", tag=PUBLIC), *parts]
    labels += [Label(kind="purpose", name=name, tag=Tag(purposes=frozenset({name}))) for name in purposes]
    labels += declared
    contexts = [None, *purposes]
    verdicts = {
        label: {name: _verdict(label.tag, name, one, policy, contexts, now) for name, one in clearances.items()} for label in labels
    }
    unroutable: list[Combination] = []
    more = False
    for purpose in contexts:
        found, cut = _unroutable(clearances, parts, policy, purpose=purpose, now=now)
        unroutable += [Combination(labels=names, purpose=purpose) for names in found]
        more = more or cut
    return ClearanceCheck(
        clearances=dict(clearances),
        policy=policy.version,
        at=now,
        verdicts=verdicts,
        unroutable=tuple(unroutable[:MOST_COMBINATIONS]),
        more=more or len(unroutable) > MOST_COMBINATIONS,
        unusable={name: verdict.rule for name, verdict in verdicts[labels[0]].items() if not verdict.permitted},
        nowhere=tuple(label for label in declared if label.declared and not any(verdict.permitted for verdict in verdicts[label].values())),
    )


def _declared(policy: Policy) -> list[Label]:
    tools = [Label(kind="tool", name=name, tag=tag, declared=True) for name, tag in sorted(policy.tools.items())]
    sources = [Label(kind="source", name=name, tag=tag, declared=True) for name, tag in sorted(policy.sources.items())]
    # What nobody labelled goes nowhere unless the policy says otherwise: that is no mistake.
    return [*tools, *sources, Label(kind="unlabelled", name="unlabelled", tag=policy.unlabelled)]


def _parts(clearances: Mapping[str, Clearance | None], declared: Sequence[Label]) -> list[Label]:
    """Return the labels of one part each, of which all others are made."""

    def names(field: str) -> list[str]:
        return sorted({one for names in _named(clearances, declared, field) for one in names})

    return [
        *[Label(kind="level", name=level.name.lower(), tag=Tag(level=level)) for level in Level if level is not Level.PUBLIC],
        *[Label(kind="category", name=name, tag=Tag(categories=frozenset({name}))) for name in names("categories")],
        *[Label(kind="region", name=f"only {name}", tag=Tag(regions=frozenset({name}))) for name in names("regions")],
        *[Label(kind="tenant", name=f"tenant {name}", tag=Tag(tenants=frozenset({name}))) for name in names("tenants")],
        Label(kind="rule", name="no_train", tag=Tag(no_train=True)),
        Label(kind="rule", name="zero_retention", tag=Tag(zero_retention=True)),
    ]


def _named(clearances: Mapping[str, Clearance | None], declared: Sequence[Label], field: str) -> Iterable[frozenset[str]]:
    own = "processing_regions" if field == "regions" else field
    values = [getattr(one, own) for one in clearances.values() if one is not None] + [getattr(label.tag, field) for label in declared]
    return [names for names in values if names is not None]


def _verdict(tag: Tag, name: str, clearance: Clearance | None, policy: Policy, contexts: Sequence[str | None], now: float) -> Verdict:
    rules = {purpose: policy.failing_rule(tag, clearance, model=name, now=now, purpose=purpose) for purpose in contexts}
    permitted = [purpose for purpose, rule in rules.items() if rule is None]
    if not permitted:
        # For a purpose that it serves, the rule says more than that it does not serve every one.
        served = [purpose for purpose in contexts if clearance is not None and purpose in (clearance.purposes or ())]
        return Verdict(rule=rules[served[0] if served else None] or "", purposes=None)
    return Verdict(rule="", purposes=None if None in permitted else tuple(one for one in permitted if one is not None))


def _unroutable(
    clearances: Mapping[str, Clearance | None], parts: Sequence[Label], policy: Policy, *, purpose: str | None, now: float
) -> tuple[list[tuple[str, ...]], bool]:
    """Return the least sets of `parts` that leave nobody, and whether there are more.

    Each rule of `permits` looks at one part of a label, so a set leaves nobody exactly if it holds, for every model, a part that
    this model may not see: these are the minimal hitting sets (C. Berge, "Hypergraphs", 1989, section 2.1). Rules of the user's own
    may look at several parts at once; what they forbid so is not among these sets.
    """
    sets: list[frozenset[int]] = [frozenset()]
    cut = False
    for name, clearance in clearances.items():

        def forbidden(tag: Tag, name: str = name, clearance: Clearance | None = clearance) -> bool:
            return policy.failing_rule(tag, clearance, model=name, now=now, purpose=purpose) is not None

        if forbidden(PUBLIC):
            continue
        blocking = [at for at, part in enumerate(parts) if forbidden(part.tag)]
        grown = {one if not one.isdisjoint(blocking) else one | {at} for one in sets for at in (blocking or [-1])}
        grown = {one for one in grown if -1 not in one and _is_of_one_piece(one, parts)}
        sets = _least(grown)
        if len(sets) > _MOST_IN_THE_MAKING:
            sets, cut = sets[:_MOST_IN_THE_MAKING], True
    # What a lower level leaves nobody for, a higher one does as well.
    lower = {at: {other for other in range(at) if parts[other].kind == "level"} for at, part in enumerate(parts) if part.kind == "level"}
    whole = {one: one.union(*(lower.get(at, ()) for at in one)) for one in sets}
    least = [one for one in sets if not any(other != one and other <= whole[one] for other in sets)]
    return [tuple(parts[at].name for at in sorted(one)) for one in least], cut


def _is_of_one_piece(one: frozenset[int], parts: Sequence[Label]) -> bool:
    """Whether data can bear these without a conflict of its own: two regions or two tenants leave nobody whatever the models."""
    kinds = [parts[at].kind for at in one]
    return all(kinds.count(kind) <= 1 for kind in ("region", "tenant", "level"))


def _least(sets: Iterable[frozenset[int]]) -> list[frozenset[int]]:
    """Return the sets that hold no other one, smallest first."""
    least: list[frozenset[int]] = []
    for one in sorted(sets, key=lambda one: (len(one), sorted(one))):
        if not any(other <= one for other in least):
            least.append(one)
    return least
