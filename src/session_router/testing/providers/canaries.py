"""Markers in data, and models that know what they may see: any byte that reaches a model that is not cleared for it is a leak."""

import re
import secrets
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from session_router.core.governance import Clearance, Tag, failing_rule, join
from session_router.testing.providers.wire import JsonObject, canonical

_MARKER = re.compile("canary-[0-9a-f]{16}")
_DIGITS = 8


@dataclass(frozen=True, kw_only=True, slots=True)
class Leak:
    """One request that a model got and may not see.

    Attributes:
        time: When it came in, in seconds since the Unix epoch by the simulated clock.
        model: The model id that was asked for.
        markers: What was in the request, and in what it refers to on the provider's side.
        rule: Why the model may not see them together.
    """

    time: float
    model: str
    markers: tuple[str, ...]
    rule: str


class Canaries:
    """Looks into every request that arrives, refused ones included: what was sent was sent.

    Give every piece of data a marker for its label (`marker`), put it into messages, tools, prompts and results, and play. A request
    to a model that the join of its markers' labels forbids is a leak. Content that is encoded, such as an image, is not looked into.

    Safe to use from any thread.
    """

    def __init__(self, clearances: Mapping[str, Clearance | None], *, purpose: str | None = None) -> None:
        """Say what each model may see.

        Args:
            clearances: By every model id that clients ask for; a model that is not among them may see nothing that bears a marker.
            purpose: What all calls are for.
        """
        self._clearances = dict(clearances)
        self._purpose = purpose
        self._lock = threading.Lock()
        self._tags: dict[str, Tag] = {}
        self._leaks: list[Leak] = []
        self._requests = self._marked = 0

    def marker(self, tag: Tag) -> str:
        """Return a new word that stands for data with this label."""
        marker = f"canary-{secrets.token_hex(_DIGITS)}"
        with self._lock:
            self._tags[marker] = tag
        return marker

    @property
    def leaks(self) -> tuple[Leak, ...]:
        """Return all leaks so far."""
        with self._lock:
            return tuple(self._leaks)

    @property
    def requests(self) -> int:
        """Return how many requests were looked into."""
        return self._requests

    @property
    def marked(self) -> int:
        """Return how many of them bore a marker: of none, the absence of leaks would say nothing."""
        return self._marked

    def look(self, body: JsonObject, referred: tuple[JsonObject, ...], *, model: str, now: Callable[[], float]) -> None:
        """Look into one request.

        Args:
            body: The request.
            referred: What it refers to on the provider's side.
            model: The model id that was asked for.
            now: The time.
        """
        found = sorted({*_MARKER.findall(canonical(body)), *_MARKER.findall(canonical(referred))})
        with self._lock:
            self._requests += 1
            known = [marker for marker in found if marker in self._tags]
            if not known:
                return
            self._marked += 1
            time = now()
            rule = failing_rule(
                join(*(self._tags[marker] for marker in known)), self._clearances.get(model), now=time, purpose=self._purpose
            )
            if rule is not None:
                self._leaks.append(Leak(time=time, model=model, markers=tuple(known), rule=rule))
