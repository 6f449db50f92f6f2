"""Real agents on strict simulators: do the dollars that the router models agree with those that the providers account?

Agents of `create_agent`, with tools and the providers' own clients, talk to OpenAI Chat Completions, OpenAI Responses and
Anthropic Messages under several policies. Before each call the router models what the chosen model's provider will count:
input tokens, those of them that it still caches, dollars. Then the simulators account: they cache prefixes by themselves, for
each model and account, for five minutes by a clock of their own, and share no code with the router. Output tokens are those
that came: nobody can know them before.

The simulators count bytes / 4, which is also how we estimate. So a second part lets the providers count half as much again,
of everything, or of tool results alone. What our model leaves out is measured as well, without a target: prompts that Anthropic
was not told to cache, and sessions that find their system prompt cached by another session.
"""

from __future__ import annotations

import sys
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from langchain_core.messages import ToolMessage

from benchmarks._accounted_calls import (
    BROKEN,
    CACHING_IGNORED,
    NEVER_COLD,
    REMEMBERED,
    UNCORRECTED,
    cached_tokens,
    dollars,
    moves,
    warm_returns,
    worst,
)
from benchmarks._accounted_play import EVERYTHING, PLAIN, Condition, desk, played, router_on
from benchmarks._accounted_sessions import conversation
from benchmarks._figure import figure, is_quick, say
from session_router import Policy
from support.agents import CHAT, CLAUDE, DIALECTS, RestlessScorer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmarks._accounted_calls import AccountedCall
    from benchmarks._accounted_sessions import Conversation
    from support.agents import Stage

SESSIONS, SESSIONS_QUICK = 12, 3
CLOSE, APART = "within [0.95, 1.05]", "> 0.05"
SOON = 20.0  # seconds between two sessions, so that the second finds its head cached
RATIO = "dollars / dollars"
BITES = "the check bites"

DEFAULT, RESTLESS, BACK_AND_FORTH = "default", "restless", "back_and_forth"
POLICIES: Mapping[str, tuple[str, ...]] = {
    DEFAULT: DIALECTS,
    RESTLESS: DIALECTS,
    BACK_AND_FORTH: (CHAT, CLAUDE),
    **{f"only_{name}": (name,) for name in DIALECTS},
}
"""Routes by policy."""


def run(stage: Stage, policy: str, sessions: Sequence[Conversation], condition: Condition = PLAIN) -> list[AccountedCall]:
    """Play `sessions`; two policies want another model at every boundary, at a stake that outweighs every price."""
    settings: dict[str, Any] = {}
    if policy in {RESTLESS, BACK_AND_FORTH}:
        settings = {"policy": Policy(stake=1.0, margin=0.0, cap=None), "scorer": RestlessScorer()}
    return played(stage, router_on(stage, *POLICIES[policy], **settings), sessions, condition)


def tell(name: str, calls: Sequence[AccountedCall]) -> None:
    """Tell a person what came of a run, with the first calls of sessions by themselves: nothing was counted before them."""
    tokens, cached = (sum(getattr(call.accounted, kind) for call in calls) for kind in ("tokens", "cached"))
    later = [call for call in calls if not call.first]
    broken = ", ".join(f"{label} {dollars(calls, label):.3f}" for label in BROKEN)
    size = (
        f"{len(calls):>4} calls, {len(moves(calls)):>3} moves, {tokens / len(calls):>6,.0f} tokens a call, {cached / tokens:>3.0%} cached"
    )
    split = f"first calls {dollars(opening(calls)):.4f}, later {dollars(later):.4f}, worst call {worst(calls):.0%} off"
    say(f"{name:15} {size} | modelled / accounted dollars {dollars(calls):.4f}, {split} | {broken}")


def opening(calls: Sequence[AccountedCall]) -> list[AccountedCall]:
    """Return the calls that opened a session."""
    return [call for call in calls if call.first]


def agreement(stage: Stage, sessions: Sequence[Conversation]) -> None:
    """Print how modelled and accounted figures agree under each policy and for each provider."""
    runs = {policy: run(stage, policy, sessions) for policy in POLICIES}
    for policy, calls in runs.items():
        tell(policy, calls)
        peer: dict[str, float | None] = {**{label: dollars(calls, label) for label in BROKEN}, "first_calls": dollars(opening(calls))}
        figure(f"modelled_over_accounted_{policy}", dollars(calls), unit=RATIO, n=len(calls), target=CLOSE, peer=peer)
        peer = {label: cached_tokens(calls, label) for label in BROKEN}
        name = f"cached_tokens_modelled_over_accounted_{policy}"
        figure(name, cached_tokens(calls), unit="tokens / tokens", n=len(calls), target=CLOSE, peer=peer)
    every = list(chain.from_iterable(runs.values()))
    for provider in DIALECTS:
        own = [call for call in every if call.model == provider]
        figure(f"modelled_over_accounted_by_{provider}", dollars(own), unit=RATIO, n=len(own), target=CLOSE, note="all policies")
    figure("moves_restless", len(moves(runs[RESTLESS])), unit="count", n=len(runs[RESTLESS]), target="> 0")
    note = "moves to a model whose provider still cached what it had read: A -> B -> A"
    figure("warm_returns", len(warm_returns(runs[BACK_AND_FORTH])), unit="count", n=len(runs[BACK_AND_FORTH]), target="> 0", note=note)
    # The default policy may leave a model once its cache is cold: how much that saves is no matter of these books.
    fixed = {policy: calls for policy, calls in runs.items() if policy != DEFAULT}
    for label in (CACHING_IGNORED, NEVER_COLD):
        least, n = min(abs(dollars(calls, label) - 1) for calls in fixed.values()), sum(map(len, fixed.values()))
        figure(f"{label}_apart", least, unit="share", n=n, target=APART, note=f"least of all policies but the default: {BITES}")


def other_tokenizers(stage: Stage, sessions: Sequence[Conversation]) -> None:
    """Print the same for providers that count half as many tokens again as we estimate."""
    calls = run(stage, RESTLESS, sessions, Condition(inflated=EVERYTHING))
    note = f"1.5 tokens where we estimate one; policy {RESTLESS}"
    figure("modelled_over_accounted_denser", dollars(calls), unit=RATIO, n=len(calls), target=CLOSE, peer=_told("denser", calls), note=note)
    apart = abs(dollars(calls, UNCORRECTED) - 1)
    figure(f"{UNCORRECTED}_apart", apart, unit="share", n=len(calls), target=APART, note=f"{note}: {BITES}")
    calls = run(stage, RESTLESS, sessions, Condition(inflated=(ToolMessage,)))
    note = f"1.5 tokens where we estimate one, of tool results alone; policy {RESTLESS}; no target"
    figure(
        "modelled_over_accounted_denser_results", dollars(calls), unit=RATIO, n=len(calls), peer=_told("denser results", calls), note=note
    )


def left_out(stage: Stage, sessions: Sequence[Conversation]) -> None:
    """Print what the model leaves out."""
    calls = run(stage, f"only_{CLAUDE}", sessions, Condition(marked=False))
    tell("unmarked", calls)
    peer: dict[str, float | None] = {label: dollars(calls, label) for label in (UNCORRECTED, CACHING_IGNORED)}
    note = "Anthropic is not told to cache, and the router is not told so; a router that is told ignores caching; no target"
    figure("modelled_over_accounted_unmarked", dollars(calls), unit=RATIO, n=len(calls), peer=peer, note=note)
    calls = run(stage, f"only_{CHAT}", sessions, Condition(apart=SOON))
    note = "sessions that find system prompt and tools cached by another session; no target"
    peer = _told("shared head", calls)
    figure("modelled_over_accounted_shared_head", dollars(calls), unit=RATIO, n=len(calls), peer=peer, note=note)


def _told(name: str, calls: Sequence[AccountedCall]) -> dict[str, float | None]:
    """Tell a person, and return what else there is to say: without corrections, and with what earlier sessions tell."""
    tell(name, calls)
    first = opening(calls)
    return {
        UNCORRECTED: dollars(calls, UNCORRECTED),
        REMEMBERED: dollars(calls, REMEMBERED),
        "first_calls": dollars(first),
        f"first_calls_{REMEMBERED}": dollars(first, REMEMBERED),
    }


def main(*, quick: bool) -> None:
    """Print the figures."""
    sessions = [conversation(number) for number in range(SESSIONS_QUICK if quick else SESSIONS)]
    with desk() as stage:
        for part in (agreement, other_tokenizers, left_out):
            part(stage, sessions)


if __name__ == "__main__":
    main(quick=is_quick(__doc__, means="fewer sessions"))
