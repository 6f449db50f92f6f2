"""What crosses the port of a response cache: a question, an answer to keep, and what came of a look-up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from math import isfinite
from typing import TYPE_CHECKING, Any, Final, cast

from session_router.core.checking import check_kind, check_number
from session_router.core.governance import PUBLIC, Integrity, Tag, join
from session_router.core.pricing import NOTHING, USD, Usage
from session_router.core.value import value
from session_router.errors import ConfigurationError

if TYPE_CHECKING:
    from session_router.core.governance import Clearance
    from session_router.core.model import ModelName

GENERAL: Final = "general"
"""The category of a question that nobody sorted."""

NO_USAGE: Final = Usage(input=0)

Content = str | tuple[Mapping[str, Any], ...]
"""A text, or blocks of text."""


class Tier(StrEnum):
    """How a stored question was found to be the same."""

    EXACT = "exact"
    """The same text after canonicalisation."""
    CONTENT = "content"
    """The same content words in the same order, negations and numbers."""
    SIMILAR = "similar"
    """A near neighbour that guards and a verifier let pass, in a certified stratum."""


class MissReason(StrEnum):
    """Why there is no hit. Of several entries, the reason of the one that came closest."""

    NOTHING = "nothing"
    """There is no entry like it."""
    NO_PARTITION = "no_partition"
    """Something that must be equal is not known."""
    NOT_CACHEABLE = "not_cacheable"
    """An answer would not stay true, or the request says not all of what it asks."""
    NOT_PERMITTED = "not_permitted"
    """The reader may not see the entry."""
    EXPIRED = "expired"
    """The entry was too old, of another epoch, or about somebody who was erased; it is evicted."""
    TAMPERED = "tampered"
    """The entry failed its checks; it is evicted."""
    GUARDED = "guarded"
    """A guard found what must not differ."""
    UNVERIFIED = "unverified"
    """The verifier does not take the two for the same question."""
    VETOED = "vetoed"
    """The entry was wrong before, for a question as similar as this one."""
    UNCERTIFIED = "uncertified"
    """The stratum is not certified: it only watches."""
    AUDITED = "audited"
    """It would have been a hit, and is asked again to see whether that would have been right."""
    LATE = "late"
    """A check took too long, or an index is being built."""
    FAILED = "failed"
    """Storage, an index or an embedder failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheQuestion:
    """What is asked, and everything that must be equal for a stored answer to be an answer.

    A digest is 16 bytes or more; that of nothing is a digest too. Where one is missing there is no look-up.

    Attributes:
        text: The last user text: the only part that may differ.
        now: POSIX seconds.
        tag: The join over all that would be sent.
        reader: Who would read the answer; `None` is unknown, and may read nothing.
        scope: Who may share the answer; `None` is unknown, and shares with nobody.
        tenant: Whose deployment; `None` when there is one.
        session: Within what is untrusted stays; `None` when it is not known.
        policy_epoch: Counts up when rules change and old answers must not be served.
        knowledge_epoch: Counts up when what the answers rest on has changed.
        model_class: Models whose answers may stand for each other.
        system: Digest of the system prompt.
        tools: Digest of tools and tool choice.
        settings: Digest of response format and sampling.
        before: Digest of everything before the last user message.
        locale: Language and country, such as `en-GB`; empty for not known, which equals only itself.
        purpose: What the call is for; `None` satisfies no restriction to purposes.
        category: Kind of question; has a time to live and strata of its own.
        untold: What of all this cannot be told, so that a digest is missing: a name or a kind, no value. Empty when all is told.
        recent: What was asked in the turns before, oldest first: a question may go on with it. Empty for one that stands alone.
    """

    text: str
    now: float
    tag: Tag
    reader: Clearance | None
    scope: str | None
    policy_epoch: str
    knowledge_epoch: str
    model_class: str
    system: bytes
    tools: bytes
    settings: bytes
    before: bytes
    tenant: str | None = None
    session: str | None = None
    locale: str = ""
    purpose: str | None = None
    category: str = GENERAL
    untold: str = ""
    recent: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CachedAnswer:
    """An answer that may be replayed: what it says, and what was true of it.

    Ids, signatures and usage of its message are no part of it: a replayed answer is a new message.

    Attributes:
        content: A text, or blocks `{"type": "text", "text": ...}`.
        model: Who answered.
        at: POSIX seconds at which it was complete.
        tag: Its own label; that of the question is joined with it.
        usage: What it took.
        cost: What it cost, in US dollars: what a hit saves.
        seconds: How long it took: what a hit saves as well.
        finish_reason: As the provider said it.
        complete: Whether the last chunk came.
        tool_calls: Whether it asks for tools.
        tool_derived: Whether the result of a tool that is not declared pure went into it.
        expires_at: POSIX seconds after which it is not true any more; `None` for no such moment.
    """

    content: Content
    model: ModelName
    at: float
    tag: Tag = PUBLIC
    usage: Usage = NO_USAGE
    cost: USD = NOTHING
    seconds: float = 0.0
    finish_reason: str | None = None
    complete: bool = True
    tool_calls: bool = False
    tool_derived: bool = False
    expires_at: float | None = None

    @property
    def text(self) -> str:
        """What it says, without the blocks."""
        if isinstance(self.content, str):
            return self.content
        return "".join(str(block.get("text", "")) for block in self.content)


@value
class CacheHit:
    """An answer to replay instead of asking a model.

    Attributes:
        entry: Id of the entry: what feedback on the answer is about.
        tier: How it was found.
        answer: The answer; its tag is that of all that went in, and raises that of the reader's session.
        age_seconds: Since it was complete.
        score: What the verifier said, in [0, 1]; `None` where none was asked.
        stratum: Whose certificate serves it; `None` where none is needed.
    """

    entry: str
    tier: Tier
    answer: CachedAnswer
    age_seconds: float
    score: float | None = None
    stratum: str | None = None

    def to_plain(self) -> dict[str, Any]:
        """Return JSON-ready values; nothing of what the answer says."""
        answer = self.answer
        similar = {} if self.score is None else {"score": self.score, "stratum": self.stratum}
        saved = {"saved": answer.cost, "saved_seconds": answer.seconds}
        return {"hit": self.tier.value, "entry": self.entry, "model": answer.model, "age_seconds": self.age_seconds, **similar, **saved}

    @classmethod
    def from_plain(cls, plain: object) -> CacheHit:
        """Read back what `to_plain` wrote, without the answer: what is left says which entry it was. It may have been anywhere.

        Raises:
            ConfigurationError: It is something else.
        """
        rule = "give a decision's row as `Decision.to_plain()` writes it, or the facts that an answer carries."
        check_kind(plain, Mapping, key="cache", rule=rule)
        table = cast("Mapping[str, Any]", plain)
        for key in ("entry", "model", "hit"):
            check_kind(table.get(key), str, key=f"cache.{key}", rule=rule)
        if table["hit"] not in {tier.value for tier in Tier}:
            raise ConfigurationError(key="cache.hit", value=table["hit"], rule=rule)
        score = table.get("score")
        if score is not None:
            check_number(score, key="cache.score", rule=rule, high=1.0)
        answer = CachedAnswer(content="", model=cast("ModelName", table["model"]), at=0.0)
        return cls(entry=table["entry"], tier=Tier(table["hit"]), answer=answer, age_seconds=0.0, score=score)


# Frozen: one that says nothing more is handed to everybody.
@dataclass(frozen=True, slots=True, kw_only=True)
class CacheMiss:
    """No answer: ask a model, and tell the cache what came of it (`store`), or that nothing will (`abandon`).

    Attributes:
        reason: Why.
        detail: More about it, without any text of a question or an answer.
        waited: Whether somebody else was asking the same, and this look-up waited for the answer.
    """

    reason: MissReason
    detail: str = ""
    waited: bool = False

    def to_plain(self) -> dict[str, Any]:
        """Return JSON-ready values."""
        known = {"detail": self.detail, "waited": self.waited}
        return {"miss": self.reason.value, **{key: value for key, value in known.items() if value}}


def unreplayable(answer: CachedAnswer) -> str | None:
    """Say why `answer` can never be replayed, or `None` when it can."""
    rules = (
        (not answer.complete, "it broke off before its last chunk"),
        (answer.tool_calls, "it asks for tools"),
        (answer.tool_derived, "a tool's result went into it"),
        (not isfinite(answer.at), "its time is not known"),
        (not isinstance(answer.content, str) and not all(map(_is_text, answer.content)), "it holds something else than text"),
    )
    broken = next((rule for breaks, rule in rules if breaks), None)
    return broken or (None if answer.text.strip() else "it says nothing")


def portable(content: Content) -> Content:
    """Return `content` without what belongs to the message that it came in: ids, signatures, provider state."""
    if isinstance(content, str):
        return content
    return tuple({"type": "text", "text": block["text"]} for block in content if _is_text(block))


def joined_tag(question: CacheQuestion, answer: CachedAnswer) -> Tag:
    """Return the label of an entry: the join of all that went in."""
    return join(question.tag, answer.tag)


def is_confined(tag: Tag) -> bool:
    """Whether what carries `tag` must not leave its session."""
    return tag.integrity is not Integrity.TRUSTED


def _is_text(block: object) -> bool:
    if not isinstance(block, Mapping):
        return False
    fields = cast("Mapping[str, Any]", block)
    return fields.get("type") == "text" and isinstance(fields.get("text"), str)
