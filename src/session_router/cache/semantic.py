"""The semantic cache: partition first, similarity second, and a certificate before anything similar is served."""

from __future__ import annotations

import asyncio
import os
import secrets
import time
from dataclasses import replace
from functools import partial
from types import NoneType
from typing import TYPE_CHECKING, Any, Final, Self

from session_router.cache.asked import Asking
from session_router.cache.checked import Checks
from session_router.cache.counts import Counts
from session_router.cache.entry import EntryCodec
from session_router.cache.judge import ClosedAnswerJudge
from session_router.cache.keeping import entry_of, is_broken, is_unfit, unkept
from session_router.cache.memory_rows import MemoryEntryRows
from session_router.cache.partition import Partitions
from session_router.cache.parts import Foundations, parts_of
from session_router.cache.remembering import forget
from session_router.cache.settings import CacheSettings
from session_router.cache.similar import MISSES, hit_of, unit_vector
from session_router.cache.steps import Embed, WaitFor, Work, adrive, drive
from session_router.cache.strata import Strata
from session_router.cache.vectors import faiss_module
from session_router.cache.verifier import LexicalVerifier
from session_router.core.cached import CacheHit, CacheMiss, MissReason, Tier
from session_router.core.checking import check_kind, check_ports
from session_router.identity import new_key

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    import numpy as np
    from numpy.typing import NDArray

    from session_router.cache.asked import Asked
    from session_router.cache.flights import Flight
    from session_router.cache.judge import AnswerJudge
    from session_router.cache.parts import Parts
    from session_router.cache.rows import EntryRows
    from session_router.cache.similar import SimilarTier
    from session_router.cache.steps import Step
    from session_router.cache.verifier import PairVerifier
    from session_router.core.cached import CachedAnswer, CacheQuestion
    from session_router.core.wager import Stratum, Wager
    from session_router.ports import Embedder

PURGE_EVERY: Final = 256
"""Answers kept between two purges."""

_ROWS: Final = (("by_exact", "by_content", "put", "discard"), "give rows, such as `SQLiteEntryRows(path)`.")
_METHODS: Final = {
    "rows": _ROWS,
    "certificates": _ROWS,
    "embedder": (("embed", "aembed"), "give an embedder, such as `StaticEmbedder()`."),
    "verifier": (("score",), "give a verifier of pairs, such as `LexicalVerifier()`."),
    "judge": (("judges", "judge"), "give a judge of answers, such as `ClosedAnswerJudge()`."),
}
"""What is asked of each port first, and the rule that an error states."""


class SemanticCache:
    """Answers that may be replayed, in three tiers. Passes `testing.ResponseCacheSuite`. Safe for threads and event loops.

    The same text, and the same content words, are served at once. What is only similar is watched, audited against fresh
    answers, and served when its stratum is certified. Every failure is a miss, counted, and logged once.

    Args:
        rows: Where entries lie; in this process unless given. `SQLiteEntryRows(path)` keeps them on disk.
        key: 16 bytes or more: of partitions, keys and seals. Random unless given, and then nothing that was stored before is found.
        embedder: Finds what is similar; needs the extra `cache`. `None`: the same text and the same content words only.
        verifier: Scores a pair of questions.
        judge: Compares a stored answer with a fresh one.
        settings: What may be kept, for how long, and how sure the cache must be.
        certificates: Where audits are counted; with the entries unless given.

    Raises:
        ConfigurationError: A setting is wrong.
        MissingExtra: There is an embedder, and FAISS is not installed.
    """

    def __init__(
        self,
        rows: EntryRows | None = None,
        *,
        key: bytes | None = None,
        embedder: Embedder | None = None,
        verifier: PairVerifier | None = None,
        judge: AnswerJudge | None = None,
        settings: CacheSettings | None = None,
        certificates: EntryRows | None = None,
    ) -> None:
        key = new_key() if key is None else key
        check_kind(settings, (CacheSettings, NoneType), key="cache.settings", rule="give `CacheSettings(...)`.")
        given = {"rows": rows, "certificates": certificates, "embedder": embedder, "verifier": verifier, "judge": judge}
        check_ports(given, _METHODS, within="cache.")
        if embedder is not None:
            faiss_module()
        self._rows: EntryRows = MemoryEntryRows() if rows is None else rows
        self._settings = CacheSettings() if settings is None else settings
        self._embedder = embedder
        self._codec = EntryCodec(key)
        self._asking = Asking(key, Partitions(key, embedder="" if embedder is None else embedder.fingerprint))
        self._counts = Counts()
        self._checks = Checks(self._rows, self._codec, self._counts)
        self._strata = Strata(certificates or self._rows, self._codec, self._settings.target)
        self._foundations = Foundations(
            rows=self._rows,
            codec=self._codec,
            checks=self._checks,
            strata=self._strata,
            counts=self._counts,
            settings=self._settings,
            embedder=embedder,
            verifier=verifier or LexicalVerifier(),
            judge=judge or ClosedAnswerJudge(),
        )
        self._kept = 0
        self._parts = parts_of(self._foundations)

    def look_up(self, question: CacheQuestion) -> CacheHit | CacheMiss:
        """Return an answer to replay, or why there is none; waits while somebody else in this process asks the same."""
        parts = self._here()
        return drive(self._looked_up(question, parts), flights=parts.flights, embedder=self._embedder)

    def store(self, question: CacheQuestion, answer: CachedAnswer) -> str | None:
        """Keep the answer to `question` if it may be replayed; return why not, or `None`."""
        parts = self._here()
        return drive(self._stored(question, answer, parts), flights=parts.flights, embedder=self._embedder)

    def abandon(self, question: CacheQuestion) -> None:
        """No answer to `question` will come."""
        parts = self._here()
        asked = self._asked(question)
        if not isinstance(asked, CacheMiss):
            parts.audits.forget(asked.exact)
            parts.flights.land(asked.exact)

    def veto(self, hit: CacheHit) -> None:
        """Take notice that `hit` was wrong: its entry is removed, or if it was only similar, serves nothing as far away again."""
        try:
            if hit.tier is Tier.SIMILAR and hit.score is not None:
                self._here().audits.confirmed_wrong(hit.entry, hit.score)
            elif (row := self._rows.by_id(hit.entry)) is not None:
                self._rows.discard(row.partition, [row.number])
            self._counts.add("vetoed")
        except Exception as error:  # noqa: BLE001 -- a cache that fails may not fail its user
            self._counts.failed("veto", error)

    def erase(self, subject: str, *, now: float) -> int:
        """Remove rows, vectors and keys of everything about `subject`, and refuse writers in flight; return the number of entries.

        What this process remembers of texts goes as well, and in others when their indexes notice the erasure.

        Raises:
            StoreError: It is not certain that all was removed: ask again.
        """
        removed = self._rows.erase(subject, at=now + self._settings.clock_skew_seconds)
        parts = self._here()
        parts.audits.forget_subject(subject)
        forget()
        if parts.indexes is not None:
            parts.indexes.erased()
        self._counts.add("erased")
        return removed

    async def alook_up(self, question: CacheQuestion) -> CacheHit | CacheMiss:
        """Do what `look_up` does without blocking the event loop."""
        parts = self._here()
        return await adrive(self._looked_up(question, parts), flights=parts.flights, embedder=self._embedder, threads=self._rows.waits)

    async def astore(self, question: CacheQuestion, answer: CachedAnswer) -> str | None:
        """Do what `store` does without blocking the event loop."""
        parts = self._here()
        return await adrive(self._stored(question, answer, parts), flights=parts.flights, embedder=self._embedder, threads=self._rows.waits)

    async def aveto(self, hit: CacheHit) -> None:
        """Do what `veto` does without blocking the event loop."""
        await asyncio.to_thread(self.veto, hit)

    async def aerase(self, subject: str, *, now: float) -> int:
        """Do what `erase` does without blocking the event loop."""
        return await asyncio.to_thread(self.erase, subject, now=now)

    def counts(self) -> Mapping[str, int]:
        """Return what happened since the start of the process, such as `hit.exact`, `miss.nothing` and `evicted.tampered`."""
        return self._counts.snapshot()

    @property
    def saved(self) -> float:
        """US dollars that the hits since the start of the process would have cost."""
        return self._counts.saved

    def strata(self) -> Mapping[Stratum, Wager]:
        """Return what the audits have shown.

        Raises:
            StoreError: The rows gave no answer.
        """
        return self._strata.all()

    @property
    def rows(self) -> EntryRows:
        """Where entries lie."""
        return self._rows

    def count(self) -> int:
        """Return the number of entries.

        Raises:
            StoreError: The rows gave no answer.
        """
        return self._rows.count()

    def purge(self, *, now: float) -> int:
        """Remove what is over at `now`, and the oldest beyond the limit; return how many entries that were.

        Raises:
            StoreError: The rows gave no answer.
        """
        return self._rows.purge(now=now, maximum=self._settings.maximum_entries)

    def clear(self) -> int:
        """Remove all entries, and keep what the audits have shown; return how many there were.

        Raises:
            StoreError: The rows gave no answer.
        """
        return self._rows.purge(now=float("-inf"), maximum=0)

    def drain(self, timeout_seconds: float = 60.0) -> bool:
        """Wait for audits and indexes that are under way; return whether they were done in time."""
        parts, until = self._here(), time.monotonic() + timeout_seconds
        return parts.background.drain(timeout_seconds) and parts.building.drain(max(0.0, until - time.monotonic()))

    def close(self) -> None:
        """Drop what is under way, and let go of the rows."""
        self._parts.background.close()
        self._parts.building.close()
        self._rows.close()

    def __enter__(self) -> Self:
        """Return the cache itself."""
        return self

    def __exit__(self, *error: object) -> None:
        """Close it."""
        self.close()

    def _asked(self, question: CacheQuestion) -> Asked | CacheMiss:
        try:
            return self._asking.asked(question)
        except Exception as error:  # noqa: BLE001 -- a cache that fails may not fail its user
            return self._failed("read a question", error)

    def _looked_up(self, question: CacheQuestion, parts: Parts) -> Generator[Step, Any, CacheHit | CacheMiss]:
        asked = self._asked(question)
        found = asked if isinstance(asked, CacheMiss) else (yield from self._found(asked, parts))
        self._counts.looked_up(found)
        return found

    def _found(self, asked: Asked, parts: Parts) -> Generator[Step, Any, CacheHit | CacheMiss]:
        landed, waits = parts.flights.landings, self._rows.waits
        # Where nothing waits there is no step to take.
        found: CacheHit | CacheMiss = (yield Work(partial(self._by_text, asked))) if waits else self._by_text(asked)
        tier = parts.similar
        if isinstance(found, CacheMiss) and tier is not None and found.reason is not MissReason.FAILED:
            vector = self._vector((yield Embed(asked.question.text)))
            if vector is not None:
                similar: CacheHit | CacheMiss = (
                    (yield Work(partial(self._by_vector, asked, vector, tier))) if waits else self._by_vector(asked, vector, tier)
                )
                found = _closer(found, similar)
        if isinstance(found, CacheHit):
            return found
        # Wait for whoever asks the same, or be the one for whom others wait.
        flight = parts.flights.joined(asked.exact)
        if flight is None and parts.flights.landings == landed:
            return found
        return (yield from self._flown(asked, found, flight, parts))

    def _flown(self, asked: Asked, missed: CacheMiss, flight: Flight | None, parts: Parts) -> Generator[Step, Any, CacheHit | CacheMiss]:
        """Look again: for somebody else who asked the same there may be an answer by now."""
        if flight is not None:
            yield WaitFor(flight)
            found: CacheHit | CacheMiss = yield Work(partial(self._by_text, asked))
            return found if isinstance(found, CacheHit) else replace(missed, waited=True)
        # Somebody may have brought the answer between this look-up and its turn to lead.
        again: CacheHit | CacheMiss = yield Work(partial(self._by_text, asked))
        if isinstance(again, CacheHit):
            parts.flights.land(asked.exact)
            return again
        return missed

    def _by_text(self, asked: Asked) -> CacheHit | CacheMiss:
        """Look in the first two tiers."""
        reason = MissReason.NOTHING
        now = asked.question.now
        try:
            row = self._rows.by_exact(asked.partition, asked.exact)
            if row is not None:
                entry = self._checks.checked(row, asked)
                if isinstance(entry, MissReason):
                    reason = entry
                elif entry.exact == asked.exact:
                    return hit_of(entry, Tier.EXACT, now=now)
            content = self._asking.content_key(asked)
            for row in self._rows.by_content(asked.partition, content):
                entry = self._checks.checked(row, asked)
                if isinstance(entry, MissReason):
                    reason = entry
                elif entry.content == content:
                    return hit_of(entry, Tier.CONTENT, now=now)
        except Exception as error:  # noqa: BLE001 -- a cache that fails may not fail its user
            return self._failed("look up", error)
        return MISSES[reason]

    def _by_vector(self, asked: Asked, vector: NDArray[np.float32], tier: SimilarTier) -> CacheHit | CacheMiss:
        """Look in the third tier."""
        try:
            return tier.look_up(asked, vector)
        except Exception as error:  # noqa: BLE001 -- a guard or a verifier that fails is a miss
            return self._failed("look for what is similar", error)

    def _vector(self, rows: object) -> NDArray[np.float32] | None:
        if isinstance(rows, Exception):
            self._counts.failed("embed", rows)
            return None
        return None if self._embedder is None else unit_vector(rows, self._embedder.dimension)

    def _stored(self, question: CacheQuestion, answer: CachedAnswer, parts: Parts) -> Generator[Step, Any, str | None]:
        asked = self._asked(question)
        if isinstance(asked, CacheMiss):
            self._counts.add("refused")
            return asked.detail or "something that must be equal is not known"
        try:
            parts.audits.answered(asked.exact, answer, unfit=is_unfit(answer), broken=is_broken(answer), now=question.now)
            refused: str | None = yield from self._kept_or_not(asked, answer, parts)
        finally:
            # Also when the caller is cancelled: nobody may wait for what does not come.
            parts.flights.land(asked.exact)
        self._counts.add("stored" if refused is None else "refused")
        return refused

    def _kept_or_not(self, asked: Asked, answer: CachedAnswer, parts: Parts) -> Generator[Step, Any, str | None]:
        refused = unkept(asked.question, answer, self._settings)
        if refused is not None:
            return refused
        vector = None if self._embedder is None else self._vector((yield Embed(asked.question.text)))
        failed: str | None = yield Work(lambda: self._put(asked, answer, b"" if vector is None else vector.tobytes(), parts))
        return failed

    def _put(self, asked: Asked, answer: CachedAnswer, vector: bytes, parts: Parts) -> str | None:
        try:
            content = self._asking.content_key(asked)
            # Who has the name alone finds the entry where its partition lies.
            name = asked.partition[:2] + secrets.token_hex(15)
            entry = entry_of(asked, answer, self._settings, content=content, name=name, vector=vector)
            if not self._rows.put(self._codec.encode(entry), asked_at=entry.asked_at):
                return "it is about somebody who was erased since it was asked"
            if parts.indexes is not None and entry.vector:
                parts.indexes.read_new(entry.partition)
            self._kept += 1
            if self._kept % PURGE_EVERY == 0:
                parts.background.submit(lambda: self._purge(entry.asked_at, parts))
        except Exception as error:  # noqa: BLE001 -- a cache that fails may not fail its user
            self._counts.failed("keep an answer", error)
            return f"it could not be kept ({type(error).__name__})"
        return None

    def _purge(self, now: float, parts: Parts) -> None:
        self._rows.purge(now=now, maximum=self._settings.maximum_entries)
        if parts.indexes is not None:
            parts.indexes.tidy()

    def _failed(self, what: str, error: Exception) -> CacheMiss:
        self._counts.failed(what, error)
        return CacheMiss(reason=MissReason.FAILED, detail=type(error).__name__)

    def _here(self) -> Parts:
        """Return the parts of this process: a fork copies locks and waiting lists, and not the threads that would release them."""
        if self._parts.process != os.getpid():
            self._parts = parts_of(self._foundations)
        return self._parts


def _closer(by_text: CacheMiss, by_vector: CacheHit | CacheMiss) -> CacheHit | CacheMiss:
    """Of two look-ups, return the one that came closer to a hit."""
    return by_vector if isinstance(by_vector, CacheHit) or by_text.reason is MissReason.NOTHING else by_text
