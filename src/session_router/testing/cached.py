"""Questions and answers for tests of response caches, and what must keep two questions apart."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from session_router.core.cached import CachedAnswer, CacheHit, CacheMiss, CacheQuestion
from session_router.core.governance import Clearance, Integrity, Level, Tag
from session_router.core.model import ModelName
from session_router.core.pricing import USD, Usage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from session_router.ports import ResponseCache

NOW: Final = 1_750_000_000.0

READER: Final = Clearance(
    max_level=Level.RESTRICTED,
    categories=frozenset({"pii", "phi"}),
    processing_regions=frozenset({"eu"}),
    tenants=None,
    trains=False,
    retention_seconds=0,
    version="test reader",
)
"""May read nearly everything."""


def digest(name: str) -> bytes:
    """Return a digest that stands for `name`."""
    return name.encode().ljust(32, b".")


def a_question(text: str = "Where is my order?", **changes: Any) -> CacheQuestion:  # noqa: ANN401 -- the fields of a question
    """Return a question about public data that any cache may answer, with some fields changed."""
    question = CacheQuestion(
        text=text,
        now=NOW,
        tag=Tag(),
        reader=READER,
        scope="everyone",
        policy_epoch="1",
        knowledge_epoch="1",
        model_class="small",
        system=digest("system"),
        tools=digest("tools"),
        settings=digest("settings"),
        before=digest("before"),
        tenant="acme",
        session="session-1",
        locale="en",
        purpose="support",
    )
    return replace(question, **changes)


def an_answer(content: Any = "It is on its way.", **changes: Any) -> CachedAnswer:  # noqa: ANN401 -- a text, blocks, or what is neither
    """Return an answer that may be replayed, with some fields changed."""
    answer = CachedAnswer(
        content=content,
        model=ModelName("fast"),
        at=NOW + 1,
        usage=Usage(input=120, cached=20, output=12),
        cost=USD(0.0004),
        finish_reason="stop",
    )
    return replace(answer, **changes)


UNTRUSTED: Final = Tag(integrity=Integrity.UNTRUSTED)

APART: Final[Mapping[str, Mapping[str, Any]]] = {
    "another tenant": {"tenant": "globex"},
    "no tenant": {"tenant": None},
    "a tenant without a name": {"tenant": ""},
    "a tenant in other letters": {"tenant": "Acme"},
    "another scope": {"scope": "team-1"},
    "a scope and a tenant that read alike in a row": {"tenant": "acmee", "scope": "veryone"},
    "another level": {"tag": Tag(level=Level.INTERNAL)},
    "another category of data": {"tag": Tag(categories=frozenset({"pii"}))},
    "other regions": {"tag": Tag(regions=frozenset({"eu"}))},
    "no regions": {"tag": Tag(regions=frozenset())},
    "other purposes": {"tag": Tag(purposes=frozenset({"support"}))},
    "data of a tenant": {"tag": Tag(tenants=frozenset({"acme"}))},
    "data not to be trained on": {"tag": Tag(no_train=True)},
    "data not to be kept": {"tag": Tag(zero_retention=True)},
    "untrusted data": {"tag": UNTRUSTED},
    "another policy epoch": {"policy_epoch": "2"},
    "another knowledge epoch": {"knowledge_epoch": "2"},
    "epochs that read alike in a row": {"policy_epoch": "11", "knowledge_epoch": ""},
    "another class of models": {"model_class": "large"},
    "another system prompt": {"system": digest("other")},
    "other tools": {"tools": digest("other")},
    "other settings": {"settings": digest("other")},
    "another conversation before": {"before": digest("other")},
    "system prompt and tools exchanged": {"system": digest("tools"), "tools": digest("system")},
    "another locale": {"locale": "de"},
    "another text": {"text": "What is your name?"},
    "the opposite": {"text": "Where is not my order?"},
    "no scope": {"scope": None},
    "a scope without a name": {"scope": ""},
    "no digest of the system prompt": {"system": b""},
    "a digest that is too short": {"before": b"1"},
}
"""What keeps a question apart from `a_question()`: never may one be answered with what was stored for the other."""

CONFUSABLE: Final[Mapping[str, tuple[Any, ...]]] = {
    "tenant": ("acme", None, "", "Acme", "acme ", "acmee", "ac", "None", "acme\x00", "\uff41\uff43\uff4d\uff45"),
    "scope": ("everyone", None, "", "Everyone", "veryone", "meeveryone", "team-1", "team-11", "\u00e9", "e\u0301"),
    "session": ("session-1", None, "", "session-2", "session-11"),
    "tag": (
        Tag(),
        UNTRUSTED,
        Tag(level=Level.INTERNAL),
        Tag(level=Level.CONFIDENTIAL),
        Tag(categories=frozenset({"pii"})),
        Tag(categories=frozenset({"pii", "phi"})),
        Tag(categories=frozenset({"piiphi"})),
        Tag(regions=frozenset({"eu"})),
        Tag(regions=frozenset()),
        Tag(purposes=frozenset({"support"})),
        Tag(tenants=frozenset({"acme"})),
        Tag(no_train=True),
        Tag(zero_retention=True),
    ),
    "policy_epoch": ("1", "", "2", "11", "1 "),
    "knowledge_epoch": ("1", "", "2", "11", "1 "),
    "model_class": ("small", "", "Small", "smal", "large"),
    "system": (digest("system"), b"", b"system", digest("system") + b".", digest("tools"), digest("syste")),
    "tools": (digest("tools"), b"", b"tools", digest("tools") + b".", digest("settings"), digest("before")),
    "settings": (digest("settings"), b"", digest("tools"), digest("settings")[:16], digest("before")),
    "before": (digest("before"), b"", digest("system"), digest("before")[:16], digest("befor")),
    "locale": ("en", "", "de", "en-GB", "EN", "en\u0000"),
}
"""By field that must be equal, values that are easily taken for one another. The first is that of `a_question()`."""


def apart_by(question: CacheQuestion) -> tuple[Any, ...]:
    """Return what must be equal for two questions to share an answer, as plain values: what a partition is measured against."""
    tag = question.tag
    sets = (tag.categories, tag.regions, tag.purposes, tag.tenants)
    label = (
        int(tag.level),
        tag.no_train,
        tag.zero_retention,
        tag.integrity.value,
        *(one if one is None else tuple(sorted(one)) for one in sets),
    )
    confined = question.session if tag.integrity is not Integrity.TRUSTED else "any"
    return label, confined, *(getattr(question, name) for name in CONFUSABLE if name not in {"tag", "session"})


UNKEPT: Final[Mapping[str, CachedAnswer]] = {
    "a tool call": an_answer(tool_calls=True, finish_reason="tool_calls"),
    "a block of a tool call": an_answer(({"type": "tool_use", "id": "toolu_1", "name": "look", "input": {}},)),
    "from a tool": an_answer(tool_derived=True),
    "broken off": an_answer(complete=False),
    "cut off": an_answer(finish_reason="length"),
    "filtered": an_answer(finish_reason="content_filter"),
    "empty": an_answer(""),
    "blank": an_answer(" \n"),
    "untrusted": an_answer(tag=UNTRUSTED),
    "not to be kept": an_answer(tag=Tag(zero_retention=True)),
    "unroutable": an_answer(tag=Tag(regions=frozenset())),
    "of two tenants": an_answer(tag=Tag(tenants=frozenset({"acme", "globex"}))),
    "over": an_answer(expires_at=NOW - 1),
    "over by its tag": an_answer(tag=Tag(expires_at=NOW)),
    "an image": an_answer(({"type": "image_url", "image_url": {"url": "data:"}},)),
}
"""Answers that no cache may keep."""


WAYS: Final = ("sync", "async")


def look_up(way: str, cache: ResponseCache, question: CacheQuestion) -> CacheHit | CacheMiss:
    """Look up, sync or async."""
    return asyncio.run(cache.alook_up(question)) if way == "async" else cache.look_up(question)


def store(way: str, cache: ResponseCache, question: CacheQuestion, answer: CachedAnswer) -> str | None:
    """Store, sync or async."""
    return asyncio.run(cache.astore(question, answer)) if way == "async" else cache.store(question, answer)


def is_miss(cache: ResponseCache, question: CacheQuestion) -> bool:
    """Look up, and if it is a miss, ask nobody."""
    missed = isinstance(cache.look_up(question), CacheMiss)
    cache.abandon(question)
    return missed


def content_of(cache: ResponseCache, question: CacheQuestion) -> object:
    """Return what is replayed, or the miss."""
    found = cache.look_up(question)
    if isinstance(found, CacheMiss):
        cache.abandon(question)
        return found
    return found.answer.content
