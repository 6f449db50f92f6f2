"""Hypothesis strategies for the values of the core: for our own laws, and for those of stores, scorers and observers.

Raises:
    MissingExtra: Hypothesis is not installed.
"""

from __future__ import annotations

import hashlib
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any, TypeVar

from session_router.core.binding import Binding, BindingKind, BindingReach
from session_router.core.call import Call
from session_router.core.governance import Clearance, Integrity, Level, Tag
from session_router.core.model import Capability, ModelName, ModelSpec
from session_router.core.need import Need, Question
from session_router.core.policy import OnUnportable, Policy
from session_router.core.pricing import Prices
from session_router.core.session import SessionId
from session_router.core.step import DIGEST_BYTES, Ask, AskKind, Role, Step
from session_router.core.transcript import NO_HEAD, Prefix, Transcript
from session_router.errors import MissingExtra

try:
    from hypothesis import strategies as st
except ImportError as error:
    raise MissingExtra(extra="testing", package="hypothesis", feature="session_router.testing.strategies") from error

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hypothesis.strategies import DrawFn, SearchStrategy

Text = TypeVar("Text", bound=str)

MODELS = tuple(map(ModelName, ("fast", "strong", "other")))
"""Model names that authors, bindings and specs share, so that they meet."""

_REGIONS, _PURPOSES, _TENANTS, _CATEGORIES = ("eu", "us"), ("care", "billing"), ("acme", "globex"), ("pii", "phi")
_ACCOUNTS, _DIALECTS = ("account-a", "account-b"), ("openai-chat", "anthropic")
_IDS = ("call-1", "call-2", "call-3", "call-4")


def tags() -> SearchStrategy[Tag]:
    """Return labels, from public to what nobody may see."""
    return st.builds(
        Tag,
        level=st.sampled_from(Level),
        categories=_subsets(_CATEGORIES),
        regions=st.none() | _subsets(_REGIONS),
        purposes=st.none() | _subsets(_PURPOSES),
        tenants=_subsets(_TENANTS),
        subjects=_subsets(("subject-1", "subject-2")),
        expires_at=st.none() | st.floats(),
        no_train=st.booleans(),
        zero_retention=st.booleans(),
        integrity=st.sampled_from(Integrity),
    )


@st.composite
def mild_tags(draw: DrawFn) -> Tag:
    """Return labels that restrict one thing, or none: a model may often see a few of them together.

    Of any labels at all hardly two together are permitted by any clearance at all, and a law about what is
    permitted would say nothing.
    """
    name = draw(st.sampled_from([field.name for field in fields(Tag)]))
    return Tag(**{name: getattr(draw(tags()), name)})


def clearances() -> SearchStrategy[Clearance]:
    """Return clearances, known and unknown in every field."""
    return st.builds(
        Clearance,
        max_level=st.sampled_from(Level),
        categories=_subsets(_CATEGORIES),
        processing_regions=_subsets(_REGIONS),
        purposes=st.none() | _subsets(_PURPOSES),
        tenants=st.none() | _subsets(_TENANTS),
        trains=st.booleans(),
        retention_seconds=st.none() | st.floats(min_value=0),
        attested_until=st.none() | st.floats(),
    )


@st.composite
def generous_clearances(draw: DrawFn) -> Clearance:
    """Return clearances that may see everything in Europe, but for one field, which may be anything."""
    generous = Clearance(
        max_level=Level.RESTRICTED,
        categories=frozenset(_CATEGORIES),
        processing_regions=frozenset({"eu"}),
        trains=False,
        retention_seconds=0.0,
    )
    name = draw(st.sampled_from([field.name for field in fields(Clearance)]))
    return replace(generous, **{name: getattr(draw(clearances()), name)})


def prices() -> SearchStrategy[Prices]:
    """Return prices between nothing and 100 dollars per million tokens."""
    dollars = st.floats(min_value=0, max_value=100)
    return st.builds(Prices, input=dollars, output=dollars, cached_input=st.none() | dollars, cache_write=st.none() | dollars)


def bindings() -> SearchStrategy[Binding]:
    """Return parts of every kind, held by a model, an account, a dialect, or nobody known."""
    return st.one_of(
        _bindings(BindingReach.MODEL, MODELS), _bindings(BindingReach.ACCOUNT, _ACCOUNTS), _bindings(BindingReach.DIALECT, _DIALECTS)
    )


def specs(*, cleared: SearchStrategy[Clearance | None] | None = None) -> SearchStrategy[ModelSpec]:
    """Return routes with prices.

    Args:
        cleared: Clearances to choose from; none at all unless given.
    """
    return st.builds(
        ModelSpec,
        model=st.just("simulated"),
        prices=prices(),
        context_window=st.none() | st.integers(1, 400),
        capabilities=st.none() | _subsets(tuple(Capability)),
        clearance=st.none() if cleared is None else cleared,
        dialect=st.sampled_from(("", *_DIALECTS)),
        account=st.sampled_from(("", *_ACCOUNTS)),
        skill=st.none() | st.floats(0, 1),
    )


def steps(*, labels: SearchStrategy[Tag | None] | None = None, authors: Sequence[str | None] = (*MODELS, None)) -> SearchStrategy[Step]:
    """Return any step at all: results nobody asked for, calls of several kinds, chunks, approvals.

    Args:
        labels: Tags to choose from; none at all unless given.
        authors: Who may have written an AI message.
    """
    return st.one_of(
        _steps(Role.SYSTEM, labels=labels),
        _steps(Role.HUMAN, labels=labels, injected=st.booleans()),
        _steps(Role.HUMAN, labels=labels, answers=_ids(1)),
        _steps(Role.TOOL, labels=labels, answers=_ids(0)),
        _steps(
            Role.AI,
            labels=labels,
            asks=st.lists(st.builds(Ask, id=st.sampled_from(_IDS), kind=st.sampled_from(AskKind)), max_size=3).map(tuple),
            author=st.sampled_from(authors),
            partial=st.booleans(),
            bindings=st.lists(bindings(), max_size=2).map(tuple),
        ),
    )


def transcripts(*, of: SearchStrategy[Step] | None = None, max_size: int = 12) -> SearchStrategy[Transcript]:
    """Return histories of any steps, with and without something before the first message."""
    heads = st.builds(Prefix, st.binary(min_size=DIGEST_BYTES, max_size=DIGEST_BYTES), st.integers(0, 100))
    return st.builds(_behind, st.just(NO_HEAD) | heads, st.lists(steps() if of is None else of, max_size=max_size))


@st.composite
def conversations(draw: DrawFn, *, authors: Sequence[str | None] = MODELS, max_turns: int = 4) -> Transcript:
    """Return well-formed histories: humans speak, AI messages call tools in loops, every call is answered in time.

    The last loop may stop anywhere: after the calls, between results, after the last result.
    """
    history = Transcript()
    for turn in range(draw(st.integers(1, max_turns))):
        history = history.extended([draw(_steps(Role.HUMAN))])
        for loop in range(draw(st.integers(0, 3))):
            names = [f"{turn}-{loop}-{index}" for index in range(draw(st.integers(1, 3)))]
            asks = st.just(tuple(Ask(id=name) for name in names))
            history = history.extended([draw(_steps(Role.AI, asks=asks, author=st.sampled_from(authors)))])
            history = history.extended([draw(_steps(Role.TOOL, answers=st.just((name,)))) for name in draw(st.permutations(names))])
        history = history.extended([draw(_steps(Role.AI, author=st.sampled_from(authors)))])
    kept = draw(st.integers(1, len(history.steps)))
    return Transcript().extended(history.steps[:kept])


@st.composite
def calls(draw: DrawFn, history: SearchStrategy[Transcript] | None = None, *, labels: SearchStrategy[Tag | None] | None = None) -> Call:
    """Return calls of one session over `history`.

    Args:
        draw: Given by Hypothesis.
        history: Transcripts to choose from; any at all unless given.
        labels: Tags of the call to choose from; none at all unless given.
    """
    transcript = draw(transcripts() if history is None else history)
    return Call(
        transcript=transcript,
        question=Question(text="", turn=transcript.turn),
        now=draw(st.floats(0, 4e9)),
        session=draw(st.none() | st.just(SessionId("5e" * 32))),
        requires=draw(_subsets(tuple(Capability))),
        bindings=draw(st.frozensets(bindings(), max_size=1)),
        tag=None if labels is None else draw(labels),
        purpose=draw(st.none() | st.sampled_from(_PURPOSES)),
        only=draw(st.none() | st.sampled_from(MODELS)),
        failed=tuple(draw(st.lists(st.sampled_from(MODELS), max_size=2, unique=True))),
        internal=draw(st.booleans()),
    )


def needs() -> SearchStrategy[Need]:
    """Return needs without an interval."""
    return st.builds(Need, p_success=st.floats(0, 1))


def policies() -> SearchStrategy[Policy]:
    """Return policies that differ in what decides."""
    return st.builds(
        Policy,
        default=st.none() | st.sampled_from(MODELS),
        stake=st.floats(0, 10),
        margin=st.floats(0, 0.9),
        on_unportable=st.sampled_from(OnUnportable),
    )


def _steps(role: Role, *, labels: SearchStrategy[Tag | None] | None = None, **fields: SearchStrategy[Any]) -> SearchStrategy[Step]:
    texts = [hashlib.blake2b(f"{role} {number}".encode(), digest_size=DIGEST_BYTES).digest() for number in range(8)]
    return st.builds(
        Step,
        role=st.just(role),
        digest=st.sampled_from(texts),
        tokens=st.integers(0, 100),
        tag=st.none() if labels is None else labels,
        **fields,
    )


def _behind(head: Prefix, following: list[Step]) -> Transcript:
    return Transcript(head=head).extended(following)


def _bindings(reach: BindingReach, holders: Sequence[str]) -> SearchStrategy[Binding]:
    return st.builds(Binding, kind=st.sampled_from(BindingKind), reach=st.just(reach), holder=st.sampled_from(("", *holders)))


def _ids(minimum: int) -> SearchStrategy[tuple[str, ...]]:
    return st.lists(st.sampled_from(_IDS), min_size=minimum, max_size=3).map(tuple)


def _subsets(values: Sequence[Text]) -> SearchStrategy[frozenset[Text]]:
    return st.frozensets(st.sampled_from(values))
