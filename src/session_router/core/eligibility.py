"""Who may answer this call, before anybody asks who should.

Four questions, each of which can exclude a candidate: may it see the payload, can it serve the call, can it
take the history, and is its endpoint healthy.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from session_router.core.exposure import label_held
from session_router.core.governance import Tag, join, join_labels
from session_router.core.policy import OnUnportable
from session_router.core.prefix import came_in_since
from session_router.core.step import Role
from session_router.core.transcript import NO_HEAD, NO_MESSAGES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from session_router.core.binding import Binding
    from session_router.core.call import Call
    from session_router.core.health import Ill
    from session_router.core.intake import Intake
    from session_router.core.model import ModelName, ModelSpec
    from session_router.core.policy import Policy
    from session_router.core.session import Session
    from session_router.core.transcript import Transcript


@dataclass(frozen=True, slots=True, kw_only=True)
class Eligibility:
    """What stands against one model; empty strings for nothing.

    Attributes:
        uncleared: The rule of governance that it fails.
        incapable: What it lacks for this call.
        foreign: What it cannot take of the history as it is.
        stuck: Of `foreign`, what no conversion can carry.
        ill: Why it may not be asked for a while; `None` when it may.
    """

    uncleared: str = ""
    incapable: str = ""
    foreign: frozenset[Binding] = frozenset()
    stuck: frozenset[Binding] = frozenset()
    ill: Ill | None = None

    def unportable(self, policy: Policy) -> str:
        """Say why the history cannot move to this model under `policy`; empty when it can."""
        bound = self.foreign if policy.on_unportable is OnUnportable.STAY else self.stuck
        return f"the history is bound elsewhere by {', '.join(kinds_of(bound))}" if bound else ""


NOTHING_READ: Mapping[ModelName, Intake] = MappingProxyType({})
"""Of a request, by any model."""

ELIGIBLE = Eligibility()
"""Nothing stands against the model."""


def is_governed(specs: Mapping[ModelName, ModelSpec], policy: Policy) -> bool:
    """Whether there is anything that not every model may be sent: a model has a clearance, or the policy has rules."""
    if policy.rules is not None:
        return True
    for spec in specs.values():  # noqa: SIM110 -- a generator costs more than the loop, and this runs at every call
        if spec.clearance is not None:
            return True
    return False


def kinds_of(bindings: frozenset[Binding]) -> tuple[str, ...]:
    """Name the kinds of `bindings`, sorted."""
    return tuple(sorted({binding.kind.value for binding in bindings})) if bindings else ()


def payload_tag(
    call: Call,
    specs: Mapping[ModelName, ModelSpec],
    policy: Policy,
    session: Session | None = None,
    *,
    reader: ModelName | None = None,
) -> Tag | None:
    """Join the labels of everything that is about to leave, or `None` when governance is not in use.

    It is in use as soon as one model has a clearance, one label exists, or the policy has rules. What the provider keeps of the
    history bears the label with which the session sent it there; what the application says of unlabelled data does not hold for what
    this session knows nothing of. Tools have the one that the policy gives them, if it does; the system prompt too, beside its own.

    Args:
        call: The request.
        specs: Every model.
        policy: The settings.
        session: What is remembered of the session, if anything.
        reader: To whom it would go, where that model's own words are to count as no more than what it was sent for them; `None` for the
            label that the payload has for everybody.
    """
    labels, known = call.transcript.tags, None if session is None else session.tag
    if (
        call.tag is None
        and call.system is None
        and call.found is None
        and call.inherited is None
        and known is None
        and labels <= {None}
        and not is_governed(specs, policy)
    ):
        return None
    unlabelled = policy.unlabelled if call.tag is None else call.tag
    if not (labels or call.transcript.derived):
        labels |= {None}
    if call.held or any(not binding.convertible for binding in call.bindings):
        labels |= _held(call, policy, session)
    if call.inherited is not None:
        labels |= {call.inherited}
    if call.transcript.head != NO_HEAD:
        said = policy.sources.get("system", call.system)
        labels |= {said if call.system is None or said is None else join(call.system, said), policy.sources.get("schemas")}
    if call.found is not None:
        labels |= {call.found}
    if call.transcript.derived:
        labels |= _derived(call, policy, session, reader)
    return join_labels(labels, unlabelled=unlabelled)


def _held(call: Call, policy: Policy, session: Session | None) -> frozenset[Tag | None]:
    """Return the labels of what the provider keeps, and the request makes its model read."""
    otherwise = policy.sources.get("provider", policy.unlabelled)
    exposures = () if session is None else session.exposures
    known = [label_held(exposures, one.id) for one in call.held]
    return frozenset(otherwise if label is None else label for label in known or [None])


def _derived(call: Call, policy: Policy, session: Session | None, reader: ModelName | None) -> frozenset[Tag | None]:
    """Return the labels of what says what others said, and bears no label.

    All of it was seen by a model of this session, or came in since: from a human, or from a tool that is on offer. Where this session had
    sent it, or `reader` wrote it, there is nothing in it that the session does not know, or `reader` has not seen.
    """
    if (said := policy.sources.get("ai")) is not None:
        return frozenset({said})
    known = None if session is None else session.tag
    if session is not None and reader is not None and _is_nothing_new(call.transcript, session, reader):
        return frozenset({known})
    return frozenset({known, policy.sources.get("human"), call.offered})


def _is_nothing_new(transcript: Transcript, session: Session, reader: ModelName) -> bool:
    """Whether `reader`, whose tool loop it is, wrote all that came in since this session sent something and that says what others said.

    What stands right behind a request is the answer to it, and was made of it. Where no other answer followed, it is the one that the
    loop waits behind: by whatever name it goes, the lock has found out that `reader` wrote it.
    """
    since = came_in_since(transcript, session.visits.values())
    if since is None:
        return False
    is_answered = [step.role is Role.AI for step in since].count(True) == 1 and since[0].role is Role.AI
    others = (step for step in since[is_answered:] if step.author != reader)
    return not NO_MESSAGES.extended(others).derived


def examine(
    call: Call,
    specs: Mapping[ModelName, ModelSpec],
    policy: Policy,
    tag: Tag | None,
    ill: Mapping[ModelName, Ill] | None = None,
    *,
    intakes: Mapping[ModelName, Intake] = NOTHING_READ,
) -> dict[ModelName, Eligibility]:
    """Examine every model.

    Args:
        call: The request.
        specs: The models.
        policy: The settings.
        tag: The label of the payload; `None` when governance is not in use.
        ill: The models that may not be asked for a while.
        intakes: What the request is to each model; without, it is as long as we estimate.
    """
    bindings = call.transcript.bindings | call.bindings
    examined = {name: _examine(name, spec, call, policy, tag, bindings, intakes) for name, spec in specs.items()}
    for name, one in (ill or {}).items():
        if name in examined:
            examined[name] = replace(examined[name], ill=one)
    return examined


def _examine(
    name: ModelName,
    spec: ModelSpec,
    call: Call,
    policy: Policy,
    tag: Tag | None,
    bindings: frozenset[Binding],
    intakes: Mapping[ModelName, Intake],
) -> Eligibility:
    lack = _lack(name, spec, call, intakes)
    if tag is None and not lack and not bindings:
        return ELIGIBLE
    foreign = frozenset(one for one in bindings if not spec.accepts(one, name=name)) if bindings else bindings
    return Eligibility(
        uncleared="" if tag is None else policy.failing_rule(tag, spec.clearance, model=name, now=call.now, purpose=call.purpose) or "",
        incapable=lack,
        foreign=foreign,
        stuck=frozenset(one for one in foreign if not one.convertible) if foreign else foreign,
    )


def _lack(name: ModelName, spec: ModelSpec, call: Call, intakes: Mapping[ModelName, Intake]) -> str:
    if name in call.failed:
        return "it has just failed"
    if call.only is not None and name != call.only:
        return f"the caller asked for `{call.only}`"
    if spec.context_window is not None:
        tokens = call.transcript.tokens + (intakes[name].beyond if name in intakes else 0)
        if tokens > spec.context_window:
            return f"its window of {spec.context_window:,} tokens is smaller than the request's {tokens:,}"
    if spec.capabilities is not None and (missing := (call.requires | call.transcript.needs) - spec.capabilities):
        return f"it has no {', '.join(sorted(missing))}"
    return ""
