"""Every action, reason and lock in words. A test sees to it that none is forgotten."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from session_router.core.boundary import LockKind
from session_router.core.decision import Action, Reason

if TYPE_CHECKING:
    from collections.abc import Mapping

Words = TypeVar("Words", bound=str)

ACTIONS: Mapping[Action, str] = {
    Action.KEEP: "stays",
    Action.SWITCH: "switches",
    Action.FORCED_SWITCH: "is forced to switch",
    Action.CACHE_HIT: "is answered from the cache",
    Action.REFUSE: "is refused",
}

REASONS: Mapping[Reason, str] = {
    Reason.FIRST_CALL: "the session's first call: this model has the least expected dollars",
    Reason.NO_HUMAN_MESSAGE: "nobody has typed anything yet, so the default model answers",
    Reason.LOCKED: "a lock holds, so the model must stay",
    Reason.PINNED: "the caller asked for this model",
    Reason.INTERNAL_CALL: "a middleware made this call; the session stays as it was",
    Reason.STILL_BEST: "the session's model is still the best",
    Reason.WITHIN_MARGIN: "another model has lower expected dollars, but by less than the margin that a switch must save",
    Reason.COOLDOWN: "another model has lower expected dollars, but the last switch was too few turns ago (cooldown)",
    Reason.CAPPED: "what would have been chosen lets switching cost more than the cap, so the best model within the cap answers",
    Reason.SUSTAINED_LOW_NEED: "a model with cheaper calls was the best at several boundaries in a row (patience)",
    Reason.WORK_FUNCTION: "by what all segments so far would have cost on each model, this is the model to be on (work function)",
    Reason.LOWER_EXPECTED_COST: "this model has lower expected dollars, by more than the margin",
    Reason.EXPLORED: "this model was tried, to learn what it is worth (exploration)",
    Reason.ANSWERED_BEFORE: "the same was asked before, and the answer is stored",
    Reason.UPGRADE_CAPPED: "upgrades were asked for too often, so one of the cheapest models answers (upgrade watch)",
    Reason.NO_SCORE: "no score was available, so the session stays where it is",
    Reason.CURRENT_NOT_ELIGIBLE: "the session's model cannot take this call",
    Reason.NO_SESSION: "the session could not be read, so it stays where its history says it is",
    Reason.ASKER_NOT_ROUTABLE: "the model that asked is none of the routes, so another must go on",
    Reason.LOST_CLEARANCE: "the session's model may not see what came in, so a cleared one must go on",
    Reason.FALLBACK: "the session's model has just failed this call",
    Reason.NOT_CLEARED: "no model is cleared for this payload",
    Reason.NOT_CAPABLE: "no cleared model can serve this call",
    Reason.NOT_HEALTHY: "no model that could answer is healthy, and the call has waited as long as it may",
    Reason.NOT_RECORDED: "the audit log could not be written, and this must not go out without a record",
    Reason.NOT_HANDED_ON: "the session store could not be told the label, which other agents of the same graph would need",
    Reason.UNPORTABLE: "the history is bound to a provider and cannot move",
}

LOCKS: Mapping[LockKind, str] = {
    LockKind.TOOL_CALLS_UNANSWERED: "its tool calls wait for results",
    LockKind.TOOL_RESULTS_UNREAD: "the results of its tool calls are there and it has not read them yet",
    LockKind.CLIENT_BLOCK_UNANSWERED: "an action that it asked the client for has no result yet",
    LockKind.INVALID_CALL_UNREPAIRED: "a call with unreadable arguments is not repaired yet",
    LockKind.SERVER_TOOL_UNFINISHED: "a tool that its provider runs is not finished",
    LockKind.PARTIAL_MESSAGE: "its message is still streaming",
    LockKind.STORED: "the history lost the asker of these results, and the session remembers it",
}

DEGRADED: Mapping[str, str] = {
    "store": "the session store gave no answer, so only the history was known",
    "scorer": "the scorer failed, so nothing was scored",
    "audit": "the audit log could not be written",
}


def in_words(value: str, words: Mapping[Words, str]) -> str:
    """Return the sentence for `value`; rows of a later release may hold values that this one does not know."""
    known = {str(key): sentence for key, sentence in words.items()}
    return known.get(value) or f"{value.replace('_', ' ')} (not known to this release)"


def share(part: int, whole: int) -> str:
    """Return the part in percent, `12.5%`; nothing where there is no whole."""
    return f"{part / whole:.1%}" if whole else ""


def plural(count: int, what: str) -> str:
    """Return `count` things: `1 session`, `2,000 switches`, `3 entries`."""
    several = what[:-1] + "ies" if what.endswith("ry") else what + ("es" if what.endswith("ch") else "s")
    return f"{count:,} {what if count == 1 else several}"
