"""How others would have routed the same calls: their rules, each with the same need and prices as ours.

No rule here is told more than its own system knows. Where a rule needs a choice of a model and its system leaves it to a
classifier, there are two readings of need, `by dollars` and `cheapest suited`; where it needs configured models, every
configuration is a variant. The report takes the variant with the least total, after the fact: better than any operator could.
"""

from __future__ import annotations

from itertools import permutations
from typing import TYPE_CHECKING, TypeAlias

from benchmarks._regret_plano import Cap, capped
from session_router.core.step import Role
from session_router.regret.routings import LOCKS_ONLY, ROUTER, SINGLE_TURN, STICKY, Routing, baselines

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from session_router.core.model import ModelName, ModelSpec
    from session_router.regret import SessionCosts, Terms
    from session_router.replay import ReplayedCall

LANGCHAIN = "LangChain ModelRouterMiddleware"
LANGCHAIN_ROUTER = "langchain-router"
LITELLM = "LiteLLM user_turn"
PLANO = "Plano"

SUITED = 0.5
"""A model is suited to a segment that it more likely serves well than not."""

Reading: TypeAlias = "Callable[[SessionCosts, int, Terms], ModelName]"
"""Names the model for a call, without a thought of what is cached or what comes after it."""


def by_dollars(costs: SessionCosts, index: int, terms: Terms) -> ModelName:
    """Read need in dollars: the price of the call with nothing cached, plus the stake times the chance to serve badly."""
    call = costs.calls[index]
    return min(call.eligible, key=lambda name: (costs.expected(index, name, None) + terms.stake * (1 - call.chances.get(name, 1.0)), name))


def cheapest_suited(costs: SessionCosts, index: int, _terms: Terms) -> ModelName:
    """Read need as "the least costly model suited to the task", which both LangChain and LiteLLM document as the question to ask.

    Where none is suited, the dearest is taken: the highest tier.
    """
    call = costs.calls[index]
    suited = [name for name in call.eligible if call.chances.get(name, 1.0) >= SUITED]
    if not suited:
        return max(call.eligible, key=lambda name: (costs.expected(index, name, None), name))
    return min(suited, key=lambda name: (costs.expected(index, name, None), name))


READINGS: Mapping[str, Reading] = {"by dollars": by_dollars, "cheapest suited": cheapest_suited}


def once_a_run(reading: Reading) -> Routing:
    """Return LangChain's rule: one choice at the beginning of a run, used for every model call in it.

    `OpenAIModelRouterMiddleware` of langchain-openai 1.7.3 (and `ModelRouterMiddleware` of langchain-typesafe) asks a decision
    model about the latest human message in `before_agent`, and overrides the model of every call with the answer. It knows no
    prices, no cache and no earlier runs. A run is a user turn. Without a human message it leaves the agent's own model: taken
    to be the one that it would have named.
    """

    def routing(costs: SessionCosts, terms: Terms) -> list[ModelName | None]:
        chosen: list[ModelName | None] = []
        run: int | None = None
        for index, call in enumerate(costs.calls):
            before, run = run, costs.request(index).transcript.turn
            held = chosen[-1] if chosen and run == before else None
            chosen.append(held if held in call.eligible else reading(costs, index, terms))
        return chosen

    return routing


def user_turn(reading: Reading) -> Routing:
    """Return LiteLLM's rule with `classification_mode: user_turn`.

    The complexity router of LiteLLM 1.106 classifies a request whose newest message is a human's, and replays the decision that
    the session holds on every other one; without a held decision it classifies (`ComplexityRouter.async_pre_routing_hook`).
    `cache_aware_routing` is off unless set. A tier holds one model; the tier is that of the model which `reading` names.
    """

    def routing(costs: SessionCosts, terms: Terms) -> list[ModelName | None]:
        chosen: list[ModelName | None] = []
        for index, call in enumerate(costs.calls):
            steps = costs.request(index).transcript.steps
            asks = bool(steps) and steps[-1].role is Role.HUMAN
            held = chosen[-1] if chosen and not asks else None
            chosen.append(held if held in call.eligible else reading(costs, index, terms))
        return chosen

    return routing


def phased(primary: ModelName, fast: ModelName, failed: Callable[[int, int], bool]) -> Routing:
    """Return langchain-router's rule: `fast` after a tool's result, `primary` after anything else.

    `RouterMiddleware` of langchain-router 0.1.4 looks at the last message of every call: a tool's result is execution, for the
    fast model, unless it looks like an error. It asks for no need and knows no prices, no cache and no locks.

    Args:
        primary: The agent's own model.
        fast: The other.
        failed: By line of a recording and index of a message: whether that is a tool's result which looks like an error.
    """

    def executes(replayed: ReplayedCall) -> bool:
        steps = replayed.call.transcript.steps
        if not steps or steps[-1].role is not Role.TOOL:
            return False
        return not failed(replayed.recording.line, replayed.message_index - 1)

    def routing(costs: SessionCosts, _terms: Terms) -> list[ModelName | None]:
        return [fast if executes(call.replayed) else primary for call in costs.calls]

    return routing


def peers(specs: Mapping[ModelName, ModelSpec], failed: Callable[[int, int], bool]) -> dict[str, Mapping[str, Routing]]:
    """Return every rule, by name: its variants. The rule of `PLANO` stands in `_regret_plano`.

    Args:
        specs: The routes.
        failed: As in `phased`.
    """
    own = {name: {"": routing} for name, routing in baselines(specs).items() if name != ROUTER}
    pairs: Sequence[tuple[ModelName, ModelName]] = list(permutations(specs, 2))
    return {
        LANGCHAIN: {name: once_a_run(reading) for name, reading in READINGS.items()},
        LANGCHAIN_ROUTER: {f"{primary}, fast {fast}": phased(primary, fast, failed) for primary, fast in pairs},
        LITELLM: {name: user_turn(reading) for name, reading in READINGS.items()},
        PLANO: {name: capped(reading, Cap(specs=specs)) for name, reading in READINGS.items()},
        STICKY: own.pop(STICKY),
        LOCKS_ONLY: own.pop(LOCKS_ONLY),
        SINGLE_TURN: own.pop(SINGLE_TURN),
        **own,
    }
