"""Strict providers of agents that are killed: they fail at a share of all calls, and see who brings them what."""

from __future__ import annotations

import random
import re
import threading
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from session_router import Clearance, Tag
from session_router.core.governance import Level
from session_router.testing.providers import Canaries, Fault, Faults, Reply, SimulatedModel, ToolCall, serve
from support.invariants import UNKNOWN_OUTCOME, invented
from support.leak_labels import words_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from session_router.testing.providers import Prompt, ServedProviders, ToolResult

LABELS: Final[Mapping[str, Tag]] = {"public": Tag(), "internal": Tag(level=Level.INTERNAL), "secret": Tag(level=Level.CONFIDENTIAL)}
CLEARANCES: Final[Mapping[str, Clearance]] = {
    "chat": Clearance(max_level=Level.RESTRICTED),
    "claude": Clearance(max_level=Level.RESTRICTED),
    "responses": Clearance(max_level=Level.RESTRICTED),
    # The cheapest, so that there is something to keep from it.
    "other": Clearance(max_level=Level.PUBLIC),
}
"""By model name; the simulated model is called `sim-` and this name."""
BARRED_FROM: Final[Mapping[str, frozenset[str]]] = {"public": frozenset(), "internal": frozenset({"other"}), "secret": frozenset({"other"})}
"""Who may not see what, written by hand."""

WORD: Final = re.compile("canary-[0-9a-f]{16}")
ANSWER: Final = re.compile("answer-[0-9a-f]{12}")
STANDS_ALONE: Final = "In one sentence"
"""Begins a question that no tool is needed for."""

BAD_REQUEST, RATE_LIMITED, SERVER_ERROR = 400, 429, 500
_WORDS_PER_LABEL = 8
_MOST_REPEATED = 2
_LONGEST_LOOP = 4
_SLOW_SECONDS = 1.5
_RETRY_AFTER_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Moved:
    """A result that came to another model than the one that had asked, and might have gone on."""

    call: str
    asker: str
    reader: str


class Providers:
    """Plays every model: calls tools in loops, repeats what it has read, and notes whose results come back to whom.

    Args:
        seed: Where all chances come from.

    Attributes:
        canaries: Looks into every request.
        words: Words that stand for data, by label.
        moved: What should never happen.
        answered: All results that models were shown, by call.
    """

    def __init__(self, seed: int) -> None:
        self.canaries = Canaries({f"sim-{name}": clearance for name, clearance in CLEARANCES.items()})
        self.words = {label: [self.canaries.marker(tag) for _ in range(_WORDS_PER_LABEL)] for label, tag in LABELS.items()}
        self.moved: list[Moved] = []
        self.answered: set[tuple[str, str]] = set()
        self._label_of = {word: label for label, words in self.words.items() for word in words}
        self._askers: dict[str, str] = {}
        self._random = random.Random(seed)
        self._guard = threading.Lock()

    def __call__(self, prompt: Prompt, /) -> Reply:
        """Answer one request."""
        read = WORD.findall(words_of(prompt))
        with self._guard:
            self._look(prompt, read)
            return self._reply(prompt, sorted(set(read)))

    def _look(self, prompt: Prompt, read: list[str]) -> None:
        barred = {f"sim-{name}" for word in read for name in BARRED_FROM[self._label_of[word]]}
        for turn in prompt.turns:
            self.answered.update((result.call_id, result.text) for result in turn.tool_results)
        for result in _results_at_the_end(prompt):
            asker = self._askers.get(result.call_id)
            if asker not in {None, prompt.model} and asker not in barred:
                self.moved.append(Moved(result.call_id, str(asker), prompt.model))

    def _reply(self, prompt: Prompt, read: list[str]) -> Reply:
        draws = self._random
        text = " ".join([f"answer-{draws.randrange(16**12):012x}", *draws.sample(read, min(_MOST_REPEATED, len(read)))])
        asks = prompt.tools and STANDS_ALONE not in prompt.last_user_text and prompt.call_number < _LONGEST_LOOP and draws.random() < 0.75
        if not asks:
            return Reply(text=text)
        calls = tuple(
            ToolCall(name=draws.choice(prompt.tools).name, arguments={"note": text}, id=f"call_{len(self._askers) + at:06d}")
            for at in range(draws.choice([1, 1, 2]))
        )
        self._askers.update({str(call.id): prompt.model for call in calls})
        return Reply(text=text, tool_calls=calls)

    def wrong(self, ran: Mapping[str, Collection[str]], served: ServedProviders, *, excused: Collection[str] = ()) -> dict[str, list[str]]:
        """Return what was wrong here, in words, by the invariant that it breaks.

        Args:
            ran: What tools have given, by the call.
            served: All providers.
            excused: Calls whose results had to go to another model than the one that asked.
        """
        bad = [row for row in served.ledger.rows if BAD_REQUEST <= row.status < SERVER_ERROR and row.status != RATE_LIMITED]
        return {
            "unsafe_switches": [f"{one.asker} asked for what {one.reader} read" for one in self.moved if one.call not in excused],
            "uncleared_sends": [f"{leak.model} was sent {leak.markers}: {leak.rule}" for leak in self.canaries.leaks],
            "invented_results": [f"{call}: {result}" for call, result in self.answered if invented([(call, result)], ran)],
            "broken_requests": [f"{row.model}: {row.error_message}" for row in bad],
        }

    def count(self, ran: Mapping[str, Collection[str]], served: ServedProviders, *, excused: Collection[str] = ()) -> Counter[str]:
        """Count what was seen here, of agents whose tools have given what `ran` says; the rest is as for `wrong`."""
        rows = served.ledger.rows
        return Counter(
            requests=len(rows),
            requests_with_data=self.canaries.marked,
            failed_requests=sum(row.status >= 400 or row.error_type is not None for row in rows),
            told_unknown=sum(result == UNKNOWN_OUTCOME for _, result in self.answered),
            **{kind: len(found) for kind, found in self.wrong(ran, served, excused=excused).items()},
        )


def _results_at_the_end(prompt: Prompt) -> Iterator[ToolResult]:
    """Yield what a loop goes on with. Behind results that a user has spoken after, nothing goes on."""
    for turn in reversed(prompt.turns):
        if turn.role != "tool":
            return
        yield from turn.tool_results


def _failing(faults: Faults, share: float) -> None:
    """Let calls fail in six ways."""
    kinds = [
        (Fault.rate_limited(retry_after=_RETRY_AFTER_SECONDS), 0.25),
        (Fault.overloaded(), 0.25),
        (Fault.broken("before_first_token"), 0.15),
        (Fault.broken("after_text"), 0.15),
        (Fault.broken("in_tool_call"), 0.15),
        (Fault.slow(_SLOW_SECONDS), 0.05),
    ]
    left = 1.0
    for fault, part in kinds:
        faults.sometimes(fault, probability=share * part / left)
        left -= share * part


@contextmanager
def providing(seed: int, *, failing: float) -> Iterator[tuple[Providers, ServedProviders]]:
    """Serve the models, of whose calls a share fails."""
    providers, faults = Providers(seed), Faults(seed=seed)
    _failing(faults, failing)
    models = [
        SimulatedModel(
            id=f"sim-{name}",
            provider="anthropic" if name == "claude" else "openai",
            reasons=name == "responses",
            behaviour=providers,
        )
        for name in CLEARANCES
    ]
    with serve(models, faults=faults, canaries=providers.canaries, seed=str(seed)) as served:
        yield providers, served


def settings_of(providers: Providers, served: ServedProviders) -> dict[str, Any]:
    """Return what a process must know to ask them, as JSON."""
    return {"openai": served.openai_base_url, "anthropic": served.anthropic_base_url, "words": providers.words}
