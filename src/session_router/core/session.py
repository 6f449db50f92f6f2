"""What routing remembers of one session: facts, never text."""

from __future__ import annotations

from dataclasses import field, replace
from math import inf
from typing import TYPE_CHECKING, NewType

from session_router.core.value import maker, value

if TYPE_CHECKING:
    from collections.abc import Mapping

    from session_router.core.account import Account
    from session_router.core.boundary import Lock
    from session_router.core.exposure import Exposure
    from session_router.core.governance import Tag
    from session_router.core.model import ModelName
    from session_router.core.transcript import Transcript

SessionId = NewType("SessionId", str)
"""64 hex digits: an HMAC over tenant, principal, thread, namespace and agent."""


@value
class Visit:
    """How far a model has read, and when.

    Attributes:
        steps: Messages it has read.
        digest: Digest of that prefix; while the transcript still has it there, the prefix may be warm.
        tokens: Tokens of that prefix: the provider's count when it reported one, else the estimate.
        at: POSIX seconds of the call.
        scale: Tokens that its provider counts for one that we estimate, > 0.
        held: Share of the tokens that should have been cached and that its provider did report as cached, in [0, 1],
            exponentially forgotten.
    """

    steps: int
    digest: bytes
    tokens: int
    at: float
    scale: float = 1.0
    held: float = 1.0

    @classmethod
    def of(cls, transcript: Transcript, *, at: float) -> Visit:
        """Read the whole transcript at `at` (POSIX seconds)."""
        prefix = transcript.prefix
        return cls(steps=len(transcript.steps), digest=prefix.digest, tokens=prefix.tokens, at=at)


new_visit = maker(Visit)


@value
class Before:
    """A session at a boundary, as it was before that was decided.

    Attributes:
        account: What it had learned and spent.
        current: Its model.
        switches: Its switches.
        switched_at: Turn of the last one.
        model: Who was chosen.
        visit: How far that model had read; `None` for not at all.
    """

    account: Account
    current: ModelName | None
    switches: int
    switched_at: int | None
    model: ModelName
    visit: Visit | None


new_before = maker(Before)


@value
class Reading:
    """What sessions have read that run in one graph, kept for the others in that graph (`readings`).

    Attributes:
        tag: Its label.
        at: POSIX seconds of the last call that read it.
        reader: Digest of who read it, 16 hex digits; empty for several.
        step: Digest of the step of the graph, 16 hex digits; empty for several, or not known.
        task: Digest of the task in that step, 16 hex digits; empty as `step`.
    """

    tag: Tag
    at: float
    reader: str = ""
    step: str = ""
    task: str = ""


@value
class Session:
    """One conversation as routing sees it.

    Attributes:
        id: Who it is.
        version: Number of commits; the store's compare-and-set works on it.
        current: The model that answered last, or was chosen last; `None` before the first call.
        lock: The lock that the last answer left behind; a hint, see `boundary.find_lock`.
        closed: Digest of the step at which the last run ended; `None` when it did not say.
        visits: How far each model has read.
        turn: Number of the last routed turn.
        call: Number of routed calls in that turn.
        switches: Switches so far.
        switched_at: Turn of the last switch; `None` before the first.
        account: What it has learned and spent; `None` before the first boundary.
        tag: Label of all that was sent to its models, or replayed to its readers; `None` while governance is not in use.
        exposures: What providers may still hold of it, oldest first; empty while governance is not in use.
        before: What it was at the boundary at which the segment began that is going on, in case that is decided again;
            `None` once the segment has had another call.
        readings: What was read in a graph, oldest first, in the row of that graph; empty in that of a session.
        row: What a store calls the row that it was read from, or made of, so that it replaces no other one; empty for nothing. It is
            neither compared nor kept.
    """

    id: SessionId
    version: int = 0
    current: ModelName | None = None
    lock: Lock | None = None
    closed: bytes | None = None
    visits: Mapping[ModelName, Visit] = field(default_factory=dict["ModelName", Visit])
    turn: int = 0
    call: int = 0
    switches: int = 0
    switched_at: int | None = None
    account: Account | None = None
    tag: Tag | None = None
    exposures: tuple[Exposure, ...] = ()
    before: Before | None = None
    readings: tuple[Reading, ...] = ()
    row: bytes = field(default=b"", compare=False, repr=False)

    def rewound(self, transcript: Transcript) -> Session | None:
        """Return this session as it was before the boundary at `transcript` was decided; `None` when it was not."""
        account, before = self.account, self.before
        if account is None or before is None or account.segment is None or not account.segment.is_begun_by(transcript):
            return None
        visits = {name: visit for name, visit in self.visits.items() if name != before.model}
        if before.visit is not None:
            visits[before.model] = before.visit
        return replace(
            self,
            current=before.current,
            visits=visits,
            switches=before.switches,
            switched_at=before.switched_at,
            # What was learned of the scorer meanwhile is no part of that decision.
            account=replace(before.account, beliefs=account.beliefs, marks=account.marks),
            before=None,
        )

    @property
    def last_call(self) -> float:
        """POSIX seconds of its last call, of a principal's last boundary, or of what was read last in a graph.

        0 when none came to anything, and endless for the population, which makes none.
        """
        if not self.visits and self.account is not None and self.account.number == 0:
            return self.account.upgrades.at or inf
        return max((*(visit.at for visit in self.visits.values()), *(reading.at for reading in self.readings)), default=0.0)

    def committed(self) -> Session:
        """Return this session as the store will hold it: one version on."""
        return replace(self, version=self.version + 1)

    def visited(self, model: ModelName, transcript: Transcript, *, at: float) -> Session:
        """Return this session after `model` read the whole transcript at `at` (POSIX seconds)."""
        return replace(self, visits={**self.visits, model: Visit.of(transcript, at=at)})


new_session = maker(Session)
