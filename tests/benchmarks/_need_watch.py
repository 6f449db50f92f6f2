"""Denial of wallet, end to end: whole sessions through a router whose upgrades are watched, or not.

Who attacks types all of every turn, and makes it look hard all over: no window leaves a rest that asks for less, so the guard on one
text lets it through. What is left is how often upgrades come.
"""

from __future__ import annotations

import logging
import random
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from benchmarks._figure import SHARED, figure, say
from benchmarks._need_attacks import LURES
from benchmarks._need_statistics import draws_of, exact_interval, interval_of
from benchmarks._regret_sources import digest_of, sources
from session_router import Policy, Router
from session_router.core.session import SessionId
from session_router.core.upgrades import UpgradeWatch
from session_router.replay import replay_session
from session_router.scorers.guard_limits import LEXICAL_LIMITS
from session_router.scorers.guarded import GuardedScorer
from session_router.scorers.lexical import LexicalScorer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from benchmarks._regret_sources import RecordedSession, Source
    from session_router.core.call import Call
    from session_router.core.decision import Decision
    from session_router.core.model import ModelName, ModelSpec
    from session_router.recordings import RecordedMessage, Recording

    Measure = Callable[[Sequence["Played"], NDArray[np.float64]], NDArray[np.float64]]

SOURCE: Final = "sgd"
"""What people said to an assistant, many turns a session; nobody knows how well any model serves it, and nothing here asks."""

SESSIONS_EACH: Final = 5
"""Sessions of a principal."""

CLEAN_SHARE: Final = 0.2
"""Of clean boundaries of the other fold, so many are served by the dearer model at most: this says what the stake is."""

STAKES: Final = tuple(0.001 * 1.25**step for step in range(30))
ROOM: Final = 1.5
"""The watch expects so many times the upgrades that the other fold asked for."""

EXCESSIVE: Final = 0.8
DIGITS: Final = 4


class Named(Router):
    """A router that is told who calls, where recordings do not say."""

    principal: SessionId | None = None

    def route(self, call: Call) -> Decision:
        """Route `call` of that principal."""
        return super().route(replace(call, principal=self.principal))


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """One session as it was routed.

    Attributes:
        principal: Whose.
        boundaries: Choices by dollars.
        upgraded: Of these, those on the dearer model.
        asked: Of these, those that asked for it.
        capped: Whether an upgrade was ever not given.
        dollars: Of all its calls.
    """

    principal: str
    boundaries: int
    upgraded: int
    asked: int
    capped: bool
    dollars: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What is played.

    Attributes:
        models: Two, one dearer than the other.
        dear: That one.
        stake: US dollars that a badly served segment costs.
    """

    models: dict[str, ModelSpec]
    dear: ModelName
    stake: float

    def played(self, sessions: Sequence[RecordedSession], watch: UpgradeWatch, *, watched: bool, every: int | None = None) -> list[Played]:
        """Route `sessions`, one after the other, by a router of their own.

        Args:
            sessions: Grouped into principals in their order.
            watch: Says what asks for an upgrade.
            watched: Whether it caps anything.
            every: Which turns are made to look hard: 1 for all, 2 for every other one; `None` for none.
        """
        # One that never reaches its threshold counts, and caps nothing.
        upgrades = watch if watched else replace(watch, between_false_alarms=1e300)
        scorer = GuardedScorer(LexicalScorer(), limits=LEXICAL_LIMITS)
        router = Named(self.models, policy=Policy(stake=self.stake, upgrades=upgrades), scorer=scorer, key=bytes(32))
        found: list[Played] = []
        for number, session in enumerate(sessions):
            principal = f"principal {number // SESSIONS_EACH}"
            router.principal = SessionId(digest_of(principal).hex() * 4)
            recording = session.recording if every is None else hardened(session.recording, every=every)
            calls = list(replay_session(recording, router))
            seen = [call.decision for call in calls if call.decision.evidence.upgrades is not None]
            found.append(
                Played(
                    principal=principal,
                    boundaries=len(seen),
                    upgraded=sum(one.model == self.dear for one in seen),
                    asked=sum(one.evidence.upgrades is not None and one.evidence.upgrades.asked for one in seen),
                    capped=any(one.evidence.upgrades is not None and one.evidence.upgrades.capped for one in seen),
                    dollars=sum(call.dollars for call in calls),
                )
            )
        return found


def hardened(recording: Recording, *, every: int) -> Recording:
    """Return `recording` with a lure behind every word of every so many turns; what it costs to read counts as before."""
    noise, typed = random.Random(recording.session_id), 0
    messages: list[RecordedMessage] = []
    for message in recording.messages:
        typed += bool(message.text)
        hard = message.text and typed % every == 0
        text = " ".join(f"{word} {noise.choice(LURES)}" for word in message.text.split()) if hard else message.text
        messages.append(replace(message, text=text))
    return replace(recording, messages=tuple(messages))


def upgrade_watch_figures(*, sessions: int = 400) -> None:
    """Print what an attacker gets, and what honest sessions lose, with the watch and without.

    Args:
        sessions: Of each fold, at most. One sets the stake and what the watch expects, the other is played.
    """
    # Hundreds of attacks raise hundreds of alarms.
    logging.getLogger("session_router.alarms").setLevel(logging.ERROR)
    source = next(one for one in sources(SHARED / "data") if one.name == SOURCE)
    known, tried = (_fold(source, fold, sessions) for fold in (0, 1))
    scene, watch = _set(source, known)
    clean, clean_watched = (scene.played(tried, watch, watched=watched) for watched in (False, True))
    attacked_watched = scene.played(tried, watch, watched=True, every=1)
    how = (
        f"{len(tried)} sessions of {SOURCE}, {SESSIONS_EACH} a principal; guarded lexical scorer, a lure behind every word that is typed; "
        f"stake {scene.stake:.3f} and expected share {watch.expected:.3f} from {len(known)} other sessions, excessive {EXCESSIVE}, "
        f"{watch.between_false_alarms:g} boundaries between false alarms, {watch.capped_boundaries} capped"
    )
    by_way = {
        "clean": clean,
        "clean, watched": clean_watched,
        "every other turn attacked": scene.played(tried, watch, watched=False, every=2),
        # Who knows the watch stays below what it takes for excessive.
        "every other turn attacked, watched": scene.played(tried, watch, watched=True, every=2),
        "attacked": scene.played(tried, watch, watched=False, every=1),
        "attacked, watched": attacked_watched,
    }
    for name, played in by_way.items():
        say(f"  {name:34} {_mean(share_upgraded, played):.3f} of boundaries upgraded, {_mean(dollars_each, played):.5f} dollars a session")
    _print("upgrade watch: upgraded under attack", by_way, share_upgraded, "share of boundaries upgraded, attacked and watched", how)
    _print("upgrade watch: dollars under attack", by_way, dollars_each, "US dollars of calls a session, attacked and watched", how)
    capped = sum(one.capped for one in clean_watched)
    low, high = exact_interval(capped, len(clean_watched))
    figure(
        "upgrade watch: clean sessions capped",
        round(capped / len(clean_watched), DIGITS),
        unit="share of clean sessions that were ever refused an upgrade",
        n=len(clean_watched),
        peer={"attacked sessions": round(sum(one.capped for one in attacked_watched) / len(attacked_watched), DIGITS)},
        low=round(low, DIGITS),
        high=round(high, DIGITS),
        note=f"{how}; sessions of one principal depend on one another, which the interval does not know",
    )


def share_upgraded(played: Sequence[Played], counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the share of boundaries on the dearer model, for each row of how often each session counts."""
    upgraded, boundaries = (np.array([getattr(one, name) for one in played]) for name in ("upgraded", "boundaries"))
    shares: NDArray[np.float64] = (counts @ upgraded) / (counts @ boundaries)
    return shares


def dollars_each(played: Sequence[Played], counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the dollars of a session, in the mean, likewise."""
    means: NDArray[np.float64] = (counts @ np.array([one.dollars for one in played])) / counts.sum(axis=1)
    return means


def _fold(source: Source, fold: int, sessions: int) -> list[RecordedSession]:
    found = [session for session in source.sessions if session.fold == fold]
    return sorted(found, key=lambda session: digest_of("watch", session.task, str(session.recording.line)))[:sessions]


def _set(source: Source, sessions: Sequence[RecordedSession]) -> tuple[Scene, UpgradeWatch]:
    """Say what the stake is, and what the watch expects."""
    prices = {name: spec.prices.input + spec.prices.output for name, spec in source.models.items() if spec.prices is not None}
    cheap, dear = min(prices, key=prices.__getitem__), max(prices, key=prices.__getitem__)
    models = {str(name): source.models[name] for name in (cheap, dear)}
    counts = UpgradeWatch(expected=0.01, excessive=EXCESSIVE)
    scene, asked = Scene(models=models, dear=dear, stake=STAKES[0]), 0.0
    for stake in STAKES:
        tried = replace(scene, stake=stake)
        played = tried.played(sessions, counts, watched=False)
        share = sum(one.asked for one in played) / sum(one.boundaries for one in played)
        if share > CLEAN_SHARE:
            break
        scene, asked = tried, share
    return scene, UpgradeWatch(expected=max(0.01, ROOM * asked), excessive=EXCESSIVE)


def _print(name: str, by_way: Mapping[str, Sequence[Played]], measure: Measure, unit: str, how: str) -> None:
    *others, (_, last) = by_way.items()
    names = sorted({one.principal for one in last})
    draws = draws_of(np.array([names.index(one.principal) for one in last], dtype=np.intp))
    low, high = interval_of(measure(last, draws))
    figure(
        name,
        round(_mean(measure, last), DIGITS),
        unit=unit,
        n=len(last),
        peer={way: round(_mean(measure, played), DIGITS) for way, played in others},
        low=round(low, DIGITS),
        high=round(high, DIGITS),
        note=f"{how}; interval by drawing principals",
    )


def _mean(measure: Measure, played: Sequence[Played]) -> float:
    return float(measure(played, np.ones((1, len(played))))[0])
