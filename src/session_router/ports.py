"""What the router needs from outside. Each port names the suite that an implementation must pass."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from session_router.core.cached import CachedAnswer, CacheHit, CacheMiss, CacheQuestion
    from session_router.core.call import Outcome
    from session_router.core.decision import Decision
    from session_router.core.governance import Tag
    from session_router.core.health import Health, HealthRead
    from session_router.core.model import ModelName, ModelSpec
    from session_router.core.need import Need, Question
    from session_router.core.session import Session, SessionId


class Clock(Protocol):
    """The only source of time."""

    def now(self) -> float:
        """Return POSIX seconds."""
        ...


class SessionStore(Protocol):
    """Sessions by id, committed by compare-and-set. Must pass `testing.SessionStoreSuite`."""

    def load(self, session: SessionId) -> Session | None:
        """Return the last committed session, or `None`.

        Raises:
            StoreUnavailable: No answer; the call is then routed from its history.
            StoreCorrupt: The row failed its checks; the call is then routed from its history.
        """
        ...

    def commit(self, session: Session) -> bool:
        """Store `session` if the stored version is `session.version - 1` (absent counts as 0).

        A row that failed its checks counts as absent: a commit replaces it whatever its version.

        Returns:
            Whether it was stored; `False` means that another replica was first.

        Raises:
            StoreUnavailable: It is not known whether it was stored.
            StoreCorrupt: The storage as a whole failed its checks; nothing was stored.
        """
        ...

    async def aload(self, session: SessionId) -> Session | None:
        """Do what `load` does without blocking the event loop."""
        ...

    async def acommit(self, session: Session) -> bool:
        """Do what `commit` does without blocking the event loop."""
        ...


class RecallingStore(SessionStore, Protocol):
    """A session store that remembers what it saw, and saves a load. Must pass `testing.RecallingStoreSuite` too.

    A decision from what is recalled stands only once its commit went through; where it does not, the store is asked, and it is decided
    again. Any session store that has a `recall` is used so.
    """

    def recall(self, session: SessionId) -> Session | None:
        """Return the session as this process saw it last, at once and without asking anybody.

        Replicas may have changed it since. The next commit of this session must be refused unless what is stored is still this very
        row, not merely one of the same version. Several may be under way at once, each made of what it recalled: `Session.row` goes
        with it.

        Returns:
            The session; `None` where it was not seen, or is likely to have been changed since: to be wrong costs more than a load.
        """
        ...


class SharedHealth(Protocol):
    """What replicas tell one another of the models' health; routing is right without it. Must pass `testing.SharedHealthSuite`.

    A session store that has one as its attribute `health` shares it with its replicas.
    """

    def read(self, now: float) -> HealthRead:
        """Return what is known, on the clock that says `now` (POSIX seconds). What fails its checks counts as not known.

        Raises:
            StoreError: No answer; each replica then goes by what it saw itself.
        """
        ...

    def replace(self, read: HealthRead, model: str, health: Health, *, seconds: float) -> bool:
        """Store `health` if the row of `model` is still the one in `read`; it may be forgotten after so many seconds.

        Returns:
            Whether it was stored; `False` means that another replica was first.

        Raises:
            StoreError: It is not known whether it was stored.
        """
        ...

    async def aread(self, now: float) -> HealthRead:
        """Do what `read` does without blocking the event loop."""
        ...

    async def areplace(self, read: HealthRead, model: str, health: Health, *, seconds: float) -> bool:
        """Do what `replace` does without blocking the event loop."""
        ...


class Scorer(Protocol):
    """Text and session features to need."""

    def score(self, question: Question, models: Mapping[ModelName, ModelSpec]) -> Mapping[ModelName, Need]:
        """Return the need of every model in `models`.

        The same question gives the same need. Any exception means that the call is routed without a score.
        """
        ...

    async def ascore(self, question: Question, models: Mapping[ModelName, ModelSpec]) -> Mapping[ModelName, Need]:
        """Do what `score` does without blocking the event loop."""
        ...


class Embedder(Protocol):
    """Text to vectors. Must pass `testing.EmbedderSuite`."""

    @property
    def dimension(self) -> int:
        """Length of a vector."""
        ...

    @property
    def fingerprint(self) -> str:
        """Hash of model and version: vectors of different fingerprints must not be compared."""
        ...

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return shape (len(texts), dimension); rows have L2 norm 1.

        The row of an empty text is zero, and so is that of a text in which the model knows nothing. A text has the same row
        alone and in any company. Any text is taken: of any length, and with lone surrogates. May be called from many threads.

        Raises:
            EmbedderError: The call is then routed without a score.
        """
        ...

    async def aembed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Do what `embed` does without blocking the event loop."""
        ...


class ResponseCache(Protocol):
    """Answers that may be replayed at a boundary. Must pass `testing.ResponseCacheSuite`.

    Nothing here raises for a failure of its own: a cache that cannot answer is a miss, and one that cannot keep forgets.
    """

    def look_up(self, question: CacheQuestion) -> CacheHit | CacheMiss:
        """Return an answer that was given under exactly these conditions to this text, or to one that means the same.

        While somebody else asks a model for the same, a look-up waits for that answer, for a limited time. After a miss, end with
        `store` or `abandon`, so that those who wait go on.
        """
        ...

    def store(self, question: CacheQuestion, answer: CachedAnswer) -> str | None:
        """Take notice of the answer to `question`, and keep it if it may be replayed.

        Give it every complete answer: one that is not kept still says whether a stored one would have been right.

        Returns:
            Why it was not kept; `None` when it was.
        """
        ...

    def abandon(self, question: CacheQuestion) -> None:
        """No answer to `question` will come. Never blocks."""
        ...

    def veto(self, hit: CacheHit) -> None:
        """Take notice that `hit` was wrong: its entry never answers such a question again."""
        ...

    def erase(self, subject: str, *, now: float) -> int:
        """Remove everything about `subject`, and refuse what was asked about it up to `now` and is stored later.

        Args:
            subject: As in `Tag.subjects`.
            now: POSIX seconds.

        Returns:
            How many entries were removed.

        Raises:
            StoreError: It is not certain that all was removed: ask again. This is the one method that must not fail in silence.
        """
        ...

    async def alook_up(self, question: CacheQuestion) -> CacheHit | CacheMiss:
        """Do what `look_up` does without blocking the event loop."""
        ...

    async def astore(self, question: CacheQuestion, answer: CachedAnswer) -> str | None:
        """Do what `store` does without blocking the event loop."""
        ...

    async def aveto(self, hit: CacheHit) -> None:
        """Do what `veto` does without blocking the event loop."""
        ...

    async def aerase(self, subject: str, *, now: float) -> int:
        """Do what `erase` does without blocking the event loop."""
        ...


class Detector(Protocol):
    """What a text gives away. Must pass `testing.DetectorSuite`."""

    def detect(self, text: str) -> Tag:
        """Return the label of what was found; `PUBLIC` for nothing.

        It is joined with the label that the text has: a detector may raise it, and never lowers it. Any text is taken: of any length,
        and with lone surrogates. The same text gives the same label. May be called from many threads.

        Any exception means that nothing was found out: the text then counts as what may go nowhere, unless the user says otherwise.
        """
        ...

    async def adetect(self, text: str) -> Tag:
        """Do what `detect` does without blocking the event loop."""
        ...


class QuestionRewriter(Protocol):
    """Makes the last question of a conversation stand alone, so that other conversations may share its answer.

    Off unless a router is given one: a rewriter that leaves out what the answer depends on makes wrong answers. It is asked only where
    humans and a model have exchanged plain texts; never about what a tool said, nor about untrusted content. Any exception, `None`, an
    empty text, and being late mean that the question stays as it is, and everything before it must be equal.
    """

    @property
    def version(self) -> str:
        """Changes whenever a question may become another one; what different versions have rewritten never meets. Not empty."""
        ...

    @property
    def seconds(self) -> float:
        """How long anybody waits for it, in (0, 60] seconds."""
        ...

    def rewrite(self, conversation: Sequence[tuple[str, str]]) -> str | None:
        """Return the last question with everything in it that its answer depends on, or `None` when that cannot be said.

        May be called from many threads.

        Args:
            conversation: Pairs of a role, `human` or `ai`, and a text, oldest first; the last is the question.
        """
        ...

    async def arewrite(self, conversation: Sequence[tuple[str, str]]) -> str | None:
        """Do what `rewrite` does without blocking the event loop."""
        ...


class AuditLog(Protocol):
    """Append-only record of decisions. Must pass `testing.AuditLogSuite`."""

    def append(self, record: Mapping[str, Any]) -> None:
        """Write one record of plain values; it holds no message text. May be called from many threads.

        When it returns, the record outlives this process.

        Raises:
            AuditError: It could not be written; nothing was.
        """
        ...


class Observer(Protocol):
    """Watches; may not change anything. Its exceptions are logged and dropped.

    It may also have `on_call(call: Call) -> None`, to see a call before it is routed, in the thread or task that routes it; and
    `on_feedback(decision_id: str, feedback: Feedback) -> None`, to see what is told to `Router.feedback`, but for repetitions.
    """

    def on_decision(self, decision: Decision) -> None:
        """See a decision before it is applied."""
        ...

    def on_outcome(self, decision: Decision, outcome: Outcome) -> None:
        """See what came of it."""
        ...
