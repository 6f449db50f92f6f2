"""Questions and answers for tests of response caches, and what must keep two questions apart."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from session_router.core.cached import CachedAnswer, CacheQuestion
from session_router.core.governance import Clearance, Integrity, Level, Tag
from session_router.core.model import ModelName
from session_router.core.pricing import USD, Usage

if TYPE_CHECKING:
    from collections.abc import Mapping

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
