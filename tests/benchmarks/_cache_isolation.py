"""Look-ups by those who must not find anything: whatever keeps two questions apart is changed a little, or moved into another field."""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random
from typing import TYPE_CHECKING, Final

import numpy as np

from session_router.cache.asked import Asking
from session_router.cache.partition import FIELDS, Partitions
from session_router.cache.semantic import SemanticCache
from session_router.cache.settings import CacheSettings
from session_router.core.cached import CacheHit
from session_router.core.wager import Audit, Stratum
from session_router.testing.cached import CONFUSABLE, READER, a_question, an_answer, apart_by

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from session_router.cache.rows import EntryRows
    from session_router.core.cached import CacheQuestion

KEY: Final = b"k" * 32
STORED: Final = 400
TEXTS: Final = tuple(
    f"How do I {verb} my {thing}?" for verb in ("reset", "find", "renew") for thing in ("password", "card", "order", "name")
)
MEANT: Final = {"How do I": "How can I", "How can I": "How do I"}


@dataclass(kw_only=True)
class Crossings:
    """What came of many look-ups.

    Attributes:
        look_ups: How many.
        hits: Of them, where everything was equal that must be: without these the rest would mean nothing.
        crossed: Hits where something was not.
        similar: Hits of the third tier among both.
    """

    look_ups: int = 0
    hits: int = 0
    crossed: int = 0
    similar: int = 0


class OnePoint:
    """An embedder for which all texts are the same: whatever lies in a partition is as near as can be."""

    dimension = 8
    fingerprint = "one point"

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return the same row for each."""
        rows = np.zeros((len(texts), self.dimension), dtype=np.float32)
        rows[:, 0] = 1
        return rows

    async def aembed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Do the same."""
        return self.embed(texts)


class Believing:
    """A verifier that takes all pairs for the same question."""

    version = "believing"

    def score(self, asked: str, stored: str, *, cosine: float, agreeing: int = 0, differing: int = 0) -> float:
        """Return 1."""
        del asked, stored, cosine, agreeing, differing
        return 1.0


def a_cache(*, similar: bool, broken: str | None = None, rows: EntryRows | None = None) -> SemanticCache:
    """Return an empty cache.

    Args:
        similar: Whether the third tier serves, from the start, whatever lies in the partition and passes the guards.
        broken: A field that its partitions leave out, or "lengths": then fields are joined without marks between them.
        rows: Where its entries lie; in this process when not given.
    """
    settings = CacheSettings(clearance=READER, wrong=0.5, audit_share=0.0, least_cosine=-1.0, check_seconds=1.0)
    cache = SemanticCache(rows, key=KEY, settings=settings, **({"embedder": OnePoint(), "verifier": Believing()} if similar else {}))
    if broken is not None:
        partitions = Partitions(KEY, embedder="", fields=[one for one in FIELDS if one != broken])
        if broken == "lengths":
            partitions = _Joined(KEY, embedder="")
        cache._asking = Asking(KEY, partitions)
    return cache


class _Joined(Partitions):
    """Joins fields as they are: "ab" and "c" read like "a" and "bc"."""

    def _digest(self, kind: bytes, question: CacheQuestion, fields: Sequence[str]) -> str:
        plain = b"".join(_bytes(self._value(one, question)) for one in fields)
        return super()._digest(kind + plain, question, ())

    def _derived_key(self, tenant: str | None) -> bytes:
        del tenant
        return self._key


def _bytes(value: str | bytes | None) -> bytes:
    return value if isinstance(value, bytes) else (value or "").encode("utf-8", "surrogatepass")


def certify(cache: SemanticCache, answer: str) -> None:
    """Give the stratum of whatever is similar its certificate, by audits that all went well."""
    stratum = _stratum(cache, answer)
    while not cache._strata.wager(stratum).serves:
        cache._strata.audited(stratum, Audit(wrong=0.0))


def _stratum(cache: SemanticCache, answer: str) -> Stratum:
    asked, stored = a_question("How can I open the door?"), a_question("How do I open the door?")
    cache.store(stored, an_answer(answer))
    cache.look_up(asked)
    (would_be,) = cache._parts.audits._pending.values()
    cache.abandon(asked)
    return would_be.stratum


def attacked(look_ups: int, *, similar: bool, broken: str | None = None, seed: int = 0, rows: EntryRows | None = None) -> Crossings:
    """Fill a cache, and look up what is nearly what was stored."""
    random, found = Random(seed), Crossings()
    holders: dict[tuple[object, ...], str] = {}

    def holder(question: CacheQuestion) -> str:
        return holders.setdefault(apart_by(question), f"Of {len(holders)}.")

    cache = a_cache(similar=similar, broken=broken, rows=rows)
    if similar:
        certify(cache, holder(a_question()))
    stored: list[CacheQuestion] = []
    while len(stored) < STORED:
        question = altered(random, a_question(random.choice(TEXTS)), random.randrange(4))
        # The answer says whose it is.
        if cache.store(question, an_answer(holder(question))) is None:
            stored.append(question)
    for _ in range(look_ups):
        question = altered(random, random.choice(stored), random.choice((0, 1, 1, 1, 2, 3)))
        if random.random() < 0.5:
            question = replace(question, text=reworded(random, question.text))
        hit = cache.look_up(question)
        found.look_ups += 1
        if not isinstance(hit, CacheHit):
            cache.abandon(question)
            continue
        found.similar += hit.score is not None
        if hit.answer.content == holder(question):
            found.hits += 1
        else:
            found.crossed += 1
    cache.close()
    return found


def altered(random: Random, question: CacheQuestion, changes: int) -> CacheQuestion:
    """Change some of what keeps questions apart."""
    for _ in range(changes):
        name = random.choice(NAMES)
        question = replace(question, **{name: random.choice(CONFUSABLE[name])})
        if random.random() < 0.2:
            # What stands in one field, in another.
            one, other = random.sample([one for one in NAMES if isinstance(getattr(question, one), str)], 2)
            question = replace(question, **{one: getattr(question, other), other: getattr(question, one)})
        if random.random() < 0.3:
            # The end of one field, at the beginning of the next.
            one, other = random.choice(NEXT)
            first, second = getattr(question, one), getattr(question, other)
            if first and second:
                both, place = first + second, random.choice((len(first) - 1, len(first) + 1))
                question = replace(question, **{one: both[:place], other: both[place:]})
    return question


NAMES: Final = tuple(CONFUSABLE)
NEXT: Final = (
    ("tenant", "scope"),
    ("policy_epoch", "knowledge_epoch"),
    ("knowledge_epoch", "model_class"),
    ("system", "tools"),
    ("settings", "before"),
)


def reworded(random: Random, text: str) -> str:
    """Return the same question for one of the tiers."""
    way = random.randrange(3)
    if way == 0:
        return f"  {text.lower()}"
    if way == 1:
        return f"Please, {text}"
    return next((text.replace(one, other) for one, other in MEANT.items() if one in text), text)
