"""Session-router's own policy on the SAAR workload: its rules and its experience, with the prices of that workload.

What the workload gives instead of tokens, time and scores is put into the terms that the library decides by; nothing is
decided here. Experience comes from the sessions of the other seeds.

Run of the library: `decide` and `Experience`. Not run: its pricing of segments, since the workload has prices of its own; the drift
of need and what the population teaches, since chances are known and experience has its full weight; and the detection of
mispredictions, since predictions are trusted from the first call.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks._saar_workload import (
    DOLLARS_PER_SWITCH,
    MODELS,
    cached_share,
    call_dollars,
    is_locked,
    shortfall,
    turn_total,
)
from session_router.core.experience import Experience, Mark
from session_router.core.model import ModelName
from session_router.core.offer import Offer
from session_router.core.policy import Policy as Settings
from session_router.core.pricing import NOTHING, USD
from session_router.core.switching import Standing, Verdict, decide

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks._saar_serving import Learner, Policy, Seen
    from benchmarks._saar_workload import Model, Session, Turn

REMEMBERED_SESSIONS = 100
"""Past sessions that a policy was fitted to: every so many of those of the other seeds."""

BY_NAME = {ModelName(model.name): model for model in MODELS}


def session_router(settings: Settings | None = None) -> Learner:
    """Return the library's policy with `settings`, or with its defaults but for the stake and the workload's price of a switch."""

    def learn(others: Sequence[Session], stake: float) -> Policy:
        step = max(1, len(others) // REMEMBERED_SESSIONS)
        past = [marks_of(session, stake) for session in others[::step]]
        turns, segments = (Experience([mark for marks in past for mark in marks[part]]) for part in (0, 1))
        return _Routed(turns, segments, settings or Settings(stake=stake, handoff=DOLLARS_PER_SWITCH), stake)

    return learn


def marks_of(session: Session, stake: float) -> tuple[list[Mark], list[Mark]]:
    """Return the boundaries of a past session: with the least total of all that followed the first turn of the segment, and with
    that of all that followed the segment.
    """
    turns = session.turns
    after: dict[Model, float] = dict.fromkeys(MODELS, 0.0)
    after_segment = after
    after_turns: list[Mark] = []
    after_segments: list[Mark] = []
    number = sum(not is_locked(turn, first=index == 0) for index, turn in enumerate(turns))
    for index in range(len(turns) - 1, -1, -1):
        turn, locked = turns[index], is_locked(turns[index], first=index == 0)
        if not locked:
            after_turns.append(_mark(number, turn, after))
            after_segments.append(_mark(number, turn, after_segment))
            number -= 1
        after = {
            current: min(turn_total(turn, current, model, stake) + after[model] for model in ((current,) if locked else MODELS))
            for current in MODELS
        }
        if not locked:
            after_segment = after
    return after_turns, after_segments


def _mark(number: int, turn: Turn, after: dict[Model, float]) -> Mark:
    return Mark(
        number=number,
        tokens=turn.prompt,
        chances=chances_of(turn),
        calls=1,
        growth=0.0,
        output=turn.completion,
        afterwards={name: USD(after[model]) for name, model in BY_NAME.items()},
    )


def chances_of(turn: Turn) -> dict[ModelName, float]:
    """Return what the workload calls quality as a chance: 1 less the shortfall."""
    return {name: 1 - shortfall(turn.asked, model) for name, model in BY_NAME.items()}


class _Routed:
    """The policy of one session after the other; a session begins where nothing was seen before.

    Args:
        turns: Past boundaries, with what followed their first turn.
        segments: The same, with what followed the segment.
        settings: The library's.
        stake: US dollars of one unit of shortfall.
    """

    def __init__(self, turns: Experience, segments: Experience, settings: Settings, stake: float) -> None:
        self._turns, self._segments, self._settings, self._stake = turns, segments, settings, stake
        self._number = 0
        self._verdict: Verdict | None = None
        self._switched_at: int | None = None

    def __call__(self, seen: Seen) -> Model:
        if not seen.before:
            self._number, self._verdict, self._switched_at = 0, None, None
        if seen.locked:
            return seen.current
        self._number += 1
        offers = self._offers(seen)
        last = self._verdict
        if last is None:
            # A session is anchored on its first choice, which the workload charges as a switch all the same.
            standing = Standing(current=None, trusted=True)
        else:
            standing = Standing(
                current=ModelName(seen.current.name),
                trusted=True,
                since_switch=None if self._switched_at is None else self._number - self._switched_at,
                ledger=last.ledger,
                unmoved=offers[last.ledger.anchor].served,
                reserve=offers[last.ledger.anchor].arrival,
                work=last.work,
                quiet=last.quiet,
            )
        self._verdict = decide(offers, standing, self._settings)
        model = BY_NAME[self._verdict.model]
        if model is not seen.current:
            self._switched_at = self._number
        return model

    def _offers(self, seen: Seen) -> dict[ModelName, Offer]:
        turn = seen.now
        chances = chances_of(turn)
        rest, later = self._expected(seen)
        offers: dict[ModelName, Offer] = {}
        for name, model in BY_NAME.items():
            warm, cold = (call_dollars(turn, model, cached_share(turn, model, switched=switched)) for switched in (False, True))
            moved = model is not seen.current
            offers[name] = Offer(
                model=name,
                ingest=USD(cold - warm if moved else 0.0),
                loop=USD(warm + rest[name]),
                risk=USD(self._stake * (1 - chances[name])),
                handoff=USD(self._settings.handoff if moved else 0.0),
                afterwards=later[name],
                refresh=NOTHING,
                arrival=USD(cold - warm + self._settings.handoff),
            )
        return offers

    def _expected(self, seen: Seen) -> tuple[dict[ModelName, USD], dict[ModelName, USD]]:
        """Expect the locked turns of the segment, shortfall included, and all that follows it, by model."""
        turn, chances = seen.now, chances_of(seen.now)
        after_turn, after_segment = (
            past.outlook(number=self._number, tokens=turn.prompt, chances=chances) for past in (self._turns, self._segments)
        )
        if after_turn is None or after_segment is None:
            return dict.fromkeys(BY_NAME, NOTHING), dict.fromkeys(BY_NAME, NOTHING)
        rest = {name: USD(after_turn.afterwards[name] - after_segment.afterwards[name]) for name in BY_NAME}
        return rest, dict(after_segment.afterwards)
