"""Detectors at work: each text is looked at once, for a limited time, and nothing of it is kept but a digest and a label."""

from __future__ import annotations

import contextvars
import hashlib
import logging
import queue
import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from session_router.core.checking import checked_each
from session_router.core.governance import PUBLIC, Tag, join

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Sequence

    from session_router.ports import Detector

logger = logging.getLogger("session_router")

AT_ONCE: Final = 64
"""Threads that may be with detectors; beyond, texts count as not looked at: one that hangs must not fill the process."""

REMEMBERED: Final = 20_000
"""Texts whose labels are remembered, the last ones seen: a history comes back from its checkpoint as new messages at every turn."""

_DIGEST_BYTES: Final = 16


class Terms(Protocol):
    """What a policy says of detectors."""

    @property
    def detector_seconds(self) -> float:
        """How long one of them may take over one text."""
        ...

    @property
    def undetected(self) -> Tag:
        """By what a text is raised where one of them failed."""
        ...


@dataclass(frozen=True, slots=True)
class Detected:
    """What was found in one text.

    Attributes:
        tag: By which its label is raised; `PUBLIC` for nothing.
        certain: Whether every detector has said so. What is not certain is asked again at the next reading.
    """

    tag: Tag = PUBLIC
    certain: bool = True


class Detecting:
    """Asks detectors about texts. Safe to use from many threads and event loops.

    Args:
        detectors: Whom to ask: all of them about every text.
        terms: Of the policy.

    Raises:
        ConfigurationError: One of them is no detector.
    """

    def __init__(self, detectors: Sequence[Detector], terms: Terms) -> None:
        rule = "give a list of detectors: objects with `detect` and `adetect`."
        self._detectors = checked_each(detectors, "detect", "adetect", key="detectors", rule=rule)
        self._terms = terms
        self._room = threading.BoundedSemaphore(AT_ONCE)
        self._known: OrderedDict[bytes, Tag] = OrderedDict()
        self._guard = threading.Lock()

    def detect(self, texts: Sequence[str]) -> list[Detected]:
        """Look at texts; one that was looked at before is not looked at again.

        Returns:
            What was found in each. A detector that fails, or is late, raises the label by the policy's `undetected`.
        """
        digests, new = self._new(texts)
        found = [self._within(detector, list(new.values())) for detector in self._detectors] if new else []
        return self._all(digests, new, found)

    async def adetect(self, texts: Sequence[str]) -> list[Detected]:
        """Do what `detect` does without blocking the event loop."""
        digests, new = self._new(texts)
        found = [await self._awithin(detector, list(new.values())) for detector in self._detectors] if new else []
        return self._all(digests, new, found)

    def _new(self, texts: Sequence[str]) -> tuple[list[bytes], dict[bytes, str]]:
        digests = [hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=_DIGEST_BYTES).digest() for text in texts]
        with self._guard:
            new = {digest: text for digest, text in zip(digests, texts, strict=True) if digest not in self._known}
        return digests, new

    def _all(self, digests: Sequence[bytes], new: dict[bytes, str], found: Sequence[Sequence[Tag | None]]) -> list[Detected]:
        """Join what each detector found, and remember what is certain."""
        fresh = {
            digest: Detected(
                join(*(self._terms.undetected if tag is None else tag for tag in tags)), certain=all(tag is not None for tag in tags)
            )
            for digest, tags in zip(new, zip(*found, strict=True), strict=True)
        }
        with self._guard:
            # First of all: what is remembered may be forgotten below.
            detected = [fresh.get(digest) or self._remembered(digest) for digest in digests]
            self._known.update({digest: one.tag for digest, one in fresh.items() if one.certain})
            while len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
        return detected

    def _remembered(self, digest: bytes) -> Detected:
        if digest not in self._known:  # another thread filled the memory meanwhile
            return Detected(self._terms.undetected, certain=False)
        self._known.move_to_end(digest)
        return Detected(self._known[digest])

    def _within(self, detector: Detector, texts: Sequence[str]) -> list[Tag | None]:
        """Ask one detector; `None` where it failed, and for all that is left once it was late."""
        found: list[Tag | None] = []
        if not self._room.acquire(blocking=False):
            return [self._failed(detector, TimeoutError()), *[None] * (len(texts) - 1)]
        answers: queue.SimpleQueue[object] = queue.SimpleQueue()
        given_up = threading.Event()
        context = contextvars.copy_context()

        def run() -> None:
            try:
                for text in texts:
                    if given_up.is_set():
                        return
                    try:
                        answers.put(context.run(detector.detect, text))
                    except BaseException as error:  # noqa: BLE001 -- whatever it is, nothing was found out
                        answers.put(error)
            finally:
                self._room.release()

        # A thread of its own, which does not keep a program alive: what is late cannot be stopped, only left alone.
        threading.Thread(target=run, name="session-router-detector", daemon=True).start()
        for _ in texts:
            try:
                found.append(self._checked(detector, answers.get(timeout=self._terms.detector_seconds)))
            except queue.Empty:
                given_up.set()
                found.append(self._failed(detector, TimeoutError()))
                break
        return [*found, *[None] * (len(texts) - len(found))]

    async def _awithin(self, detector: Detector, texts: Sequence[str]) -> list[Tag | None]:
        import asyncio

        found: list[Tag | None] = []
        for text in texts:
            task = asyncio.ensure_future(detector.adetect(text))
            try:
                # Not `wait_for`: it waits on for a task that does not heed its cancellation.
                await asyncio.wait({task}, timeout=self._terms.detector_seconds)
                if not task.done():
                    found.append(self._failed(detector, TimeoutError()))
                    break
                found.append(self._checked(detector, asyncio.CancelledError() if task.cancelled() else task.exception() or task.result()))
            finally:
                if not task.done():
                    task.add_done_callback(_is_over)
                    task.cancel()
        return [*found, *[None] * (len(texts) - len(found))]

    def _checked(self, detector: Detector, answer: object) -> Tag | None:
        if isinstance(answer, Tag):
            return answer
        return self._failed(detector, answer if isinstance(answer, BaseException) else TypeError(type(answer).__name__))

    def _failed(self, detector: Detector, error: BaseException) -> Tag | None:
        # Only the class of the error: its message may hold the text.
        label = self._terms.undetected.describe()
        logger.warning("detector %s failed (%s); the text counts as %s", type(detector).__name__, type(error).__name__, label)
        return None


def _is_over(task: asyncio.Future[Tag]) -> None:
    """Look at what came of a task, so that nothing complains that nobody did."""
    if not task.cancelled():
        task.exception()
