"""Every error this library raises on purpose.

SessionRouterError
├── ConfigurationError          a setting is wrong; names the source, the key, the value and the rule
│   ├── ConfigurationErrors     several settings are wrong at once
│   └── MissingExtra            an optional package is not installed; names the extra
├── GovernanceError
│   ├── NoClearedModel          nothing may see this payload
│   ├── NotHandedOn             other sessions of the graph could not be told a label, so nothing was sent
│   ├── UnreadableLabel         a tag or a clearance at rest is not of a known schema
│   └── UnregisteredAct         a label was to be lowered by nobody who may
├── NoCapableModel              nothing cleared can serve this call (window, capability, all failed)
├── NoHealthyModel              nothing cleared that could serve this call is healthy, or the session's own model is not
├── NoModelChosen               the cache has the answer, and somebody asked for the model
├── Unportable                  a switch would break provider state and the policy says `raise`
├── StoreError
│   ├── StoreUnavailable        no answer; routing goes on from the history
│   └── StoreCorrupt            a row or a file failed its checks
├── AuditError
│   ├── NotRecorded             a decision is not in the audit log, so nothing was sent
│   ├── AuditUnavailable        the log cannot be written or read
│   └── AuditCorrupt            the log was sealed with another key, or is none
├── EmbedderError
│   ├── EmbedderUnavailable     the model gave no answer; the call is routed without a score
│   └── UnusableVectors         the model answered with something that is no vector of its length
├── UnknownDecision             feedback names a decision that is not remembered
├── RecordingError              a recorded session cannot be replayed
├── NoOverlap                   a log says nothing about another policy
└── InternalError               a state machine met a pair its table does not have; names both ends
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class SessionRouterError(Exception):
    """Base of every error of this library."""


class ConfigurationError(SessionRouterError):
    """A setting is wrong.

    Args:
        key: Dotted path of the setting, such as `models.fast.prices.input`.
        value: What was found there; `None` for nothing.
        rule: What is allowed.
        source: File or variable the setting came from, or `None` when it came from Python.
    """

    def __init__(self, *, key: str, value: object, rule: str, source: str | None = None) -> None:
        self.key, self.value, self.rule, self.source = key, value, rule, source
        where = f"{source}: " if source else ""
        # Whoever writes TOML, or types a command, knows no `None`.
        found = "has no value" if value is None else f"is {value!r}"
        super().__init__(f"{where}`{key}` {found}; {rule}")


class ConfigurationErrors(ConfigurationError):
    """Several settings are wrong; the attributes are those of the first.

    Args:
        errors: Two or more, in the order in which they should be corrected.
    """

    def __init__(self, errors: Sequence[ConfigurationError]) -> None:
        first = errors[0]
        super().__init__(key=first.key, value=first.value, rule=first.rule, source=first.source)
        self.errors = tuple(errors)
        lines = "\n".join(f"  {error}" for error in self.errors)
        self.args = (f"{len(self.errors)} settings are wrong:\n{lines}",)


class MissingExtra(ConfigurationError):
    """An optional package is needed and not installed."""

    def __init__(self, *, extra: str, package: str, feature: str) -> None:
        self.extra, self.package = extra, package
        super().__init__(
            key=feature,
            value=f"{package} (not installed)",
            rule=f"install it with `pip install 'session-router[{extra}]'`.",
        )


class GovernanceError(SessionRouterError):
    """A label forbids what was asked."""


class NoClearedModel(GovernanceError):
    """Nothing may see this payload.

    Args:
        tag: The label of the payload, as text.
        tried: Each candidate with the rule of `permits` that it fails.
    """

    def __init__(self, *, tag: str, tried: Mapping[str, str]) -> None:
        self.tag, self.tried = tag, dict(tried)
        story = "; ".join(f"`{name}`: {rule}" for name, rule in self.tried.items()) or "there are no candidates"
        super().__init__(f"no model is cleared for {tag} ({story}). Clear a model for it, or remove a label.")


class NotHandedOn(GovernanceError):
    """The store could not take the label of what was about to be sent, which other sessions of the same graph need; nothing was sent.

    Args:
        tag: The label, in words.
    """

    def __init__(self, *, tag: str) -> None:
        self.tag = tag
        super().__init__(
            f"the session store could not be told that {tag} is read in this graph, and other agents of the graph would not know; "
            "nothing was sent. Make the store available."
        )


class UnreadableLabel(GovernanceError):
    """A tag or a clearance cannot be read. A tag that cannot be read is top, and such a clearance sees nothing.

    Args:
        kind: `tag` or `clearance`.
        why: What is wrong, without what was found there.
    """

    def __init__(self, *, kind: str, why: str) -> None:
        self.kind, self.why = kind, why
        super().__init__(f"the {kind} cannot be read ({why}). Write it as `{kind}_to_plain` does.")


class UnregisteredAct(GovernanceError):
    """A label was to be lowered in a way that is not registered, or by somebody who may not.

    Args:
        act: The name of the act.
        who: Wanted it.
        known: The acts that are registered.
    """

    def __init__(self, *, act: str, who: str, known: Sequence[str]) -> None:
        self.act, self.who, self.known = act, who, tuple(known)
        if act in known:
            super().__init__(f"{who!r} may not do {act!r}. Name them in its `by`, or let somebody do it who may.")
        else:
            super().__init__(f"no act {act!r} is registered; known are {list(known)!r}. Register it, or leave the label as it is.")


class NoCapableModel(SessionRouterError):
    """No cleared model can serve this call.

    Args:
        tried: Each candidate with what it lacks.
    """

    def __init__(self, *, tried: Mapping[str, str]) -> None:
        self.tried = dict(tried)
        story = "; ".join(f"`{name}`: {why}" for name, why in self.tried.items()) or "there are no candidates"
        super().__init__(f"no model can serve this call ({story}). Add a route that can, or shorten the request.")


class NoHealthyModel(SessionRouterError):
    """No cleared model that can serve this call is healthy, and the call has waited as long as it may.

    Args:
        tried: Each candidate with why it may not be asked.
        locked: The model that the session is locked to, which nobody may stand in for; `None` at a boundary.
        retry_after: Seconds until one of them may be asked.
        waited: Seconds that the call has waited already.
    """

    def __init__(self, *, tried: Mapping[str, str], locked: str | None, retry_after: float, waited: float) -> None:
        self.tried, self.locked, self.retry_after, self.waited = dict(tried), locked, retry_after, waited
        story = "; ".join(f"`{name}`: {why}" for name, why in self.tried.items())
        where = "no model is healthy" if locked is None else f"the session is locked to `{locked}`, which is not healthy"
        super().__init__(f"{where} ({story}); the call waited {waited:.1f} s. Try again in {retry_after:.1f} s, or raise `wait_seconds`.")


class Unportable(SessionRouterError):
    """The history is bound to a provider and the policy says `on_unportable = "raise"`.

    Args:
        model: The model that was about to be chosen.
        bindings: What it cannot take, as text.
    """

    def __init__(self, *, model: str, bindings: Sequence[str]) -> None:
        self.model, self.bindings = model, tuple(bindings)
        super().__init__(
            f"`{model}` cannot take {', '.join(bindings)} of this history. "
            'Set `on_unportable` to "stay" to keep the model, or to "convert" to strip what can be stripped; '
            "what a provider holds can only go to a route of the same account."
        )


class StoreError(SessionRouterError):
    """The session store failed."""


class StoreUnavailable(StoreError):
    """The store gave no answer. Routing goes on from the history; nothing but money is lost."""


class StoreCorrupt(StoreError):
    """A row, or a whole file, failed its checks."""


class AuditError(SessionRouterError):
    """There is no record of what was to be recorded."""


class NotRecorded(AuditError):
    """A decision was not recorded, so nothing was sent.

    Args:
        tag: The label of what was about to be sent, in words.
    """

    def __init__(self, *, tag: str) -> None:
        self.tag = tag
        super().__init__(
            f"the audit log could not be written, and nothing that is {tag} goes out without a record; nothing was sent. "
            "Make the log writable, or raise `policy.recorded_from`."
        )


class AuditUnavailable(AuditError):
    """The log cannot be written or read."""


class AuditCorrupt(AuditError):
    """The log was sealed with another key, or is no log: nothing can follow it."""


class EmbedderError(SessionRouterError):
    """No vectors for these texts. Routing goes on without them."""


class EmbedderUnavailable(EmbedderError):
    """The model of an embedder failed; what it raised is the cause.

    Args:
        model: Which one.
        error: What it raised. Only its class is named: its message may hold the text.
    """

    def __init__(self, *, model: str, error: Exception) -> None:
        self.model = model
        super().__init__(f"`{model}` gave no vectors ({type(error).__name__}, the cause of this error). See that it runs and is reached.")


class UnusableVectors(EmbedderError):
    """A model answered with something that is no vector of its length.

    Args:
        model: Which one.
        rule: What is expected, and what there was.
    """

    def __init__(self, *, model: str, rule: str) -> None:
        self.model, self.rule = model, rule
        super().__init__(f"`{model}`: {rule}")


class UnknownDecision(SessionRouterError):
    """Feedback names a decision that this router does not remember: another process made it, or many were made since.

    Args:
        decision: Its id.
    """

    def __init__(self, *, decision: str) -> None:
        self.decision = decision
        super().__init__(
            f"decision {decision!r} is not remembered here. Give the decision itself, its row as `Decision.to_plain()` wrote it, "
            "or all the facts that its answer carries: each says by itself what feedback is about."
        )


class RecordingError(SessionRouterError):
    """A recorded session cannot be replayed.

    Args:
        rule: What is wrong, and what is expected.
        source: The file; `None` when the recording came from elsewhere.
        line: Line in the file, from 1; `None` when the whole file is meant.
        place: Dotted path inside the recording, such as `messages.3.role`; empty when all of it is meant.
    """

    def __init__(self, rule: str, *, source: str | None = None, line: int | None = None, place: str = "") -> None:
        self.rule, self.source, self.line, self.place = rule, source, line, place
        where = [part for part in (source, None if line is None else f"line {line}", f"`{place}`" if place else None) if part]
        super().__init__(f"{', '.join(where)}: {rule}" if where else rule)


class NoOverlap(SessionRouterError):
    """A log says nothing about another policy: it never took, by chance, what that policy would take.

    Args:
        boundaries: That could have told something.
        unsupported: Of these, those at which the other policy would have taken what the logged one had no chance to take.
    """

    def __init__(self, *, boundaries: int, unsupported: int) -> None:
        self.boundaries, self.unsupported = boundaries, unsupported
        super().__init__(
            f"the log says nothing about the new policy: at {unsupported:,} of {boundaries:,} boundaries with an outcome it would take a "
            "model that the logged policy had no chance to take. Turn on `policy.explore`, with `policy.explore_dollars` as its budget, "
            "and give feedback; what is logged from then on can tell."
        )


class NoModelChosen(SessionRouterError):
    """Somebody asked which model was chosen, and none was: the answer is stored."""

    def __init__(self) -> None:
        super().__init__("no model was chosen, because the cache has the answer. Replay `decision.hit.answer`, or route without a cache.")


class InternalError(SessionRouterError):
    """A bug in this library: a state machine met a pair that is not in its table."""

    def __init__(self, *, state: str, event: str) -> None:
        self.state, self.event = state, event
        super().__init__(f"no transition from state {state!r} on event {event!r}; please report this with the history's shape.")
