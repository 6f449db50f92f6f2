"""What a request is to one model: its tokens as the provider counts them, what is still cached, the prices to expect."""

from __future__ import annotations

from typing import TYPE_CHECKING

from session_router.core.prefix import as_counted, tokens_read
from session_router.core.pricing import estimated_cost
from session_router.core.value import maker, value
from session_router.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from session_router.core.call import Call
    from session_router.core.model import ModelName, ModelSpec
    from session_router.core.prefix import PromptCache
    from session_router.core.pricing import USD, Prices
    from session_router.core.session import Session, Visit


@value
class Intake:
    """A request, as one model's provider would take it in.

    Attributes:
        tokens: Of the request, as the provider would count them.
        read: Of the request, the tokens that the model has read, as we estimate them.
        cached: Of these, those that it should still hold. That a provider holds less than it should is in the prices.
        scale: Tokens that it counts for one that we estimate: for a model that was never asked, those of the last one that was.
        held: Share of what should be cached that it was seen to have cached.
        cache: How it caches.
        expected: Its prices, as expected when it caches a share of `held`; `None` when they are unknown.
    """

    tokens: int
    read: int
    cached: int
    scale: float
    held: float
    cache: PromptCache
    expected: Prices | None

    @property
    def prices(self) -> Prices:
        """The expected prices.

        Raises:
            ConfigurationError: They are unknown.
        """
        if self.expected is None:
            raise ConfigurationError(key="prices", value=None, rule="the price of a model is unknown; give its prices.")
        return self.expected

    @property
    def beyond(self) -> int:
        """Tokens of what the model has read that its provider counted beyond our estimate; 0 where it counted no more.

        What it has not read is in no count: that of a short request says little of a long one.
        """
        return max(0, as_counted(self.read, self.scale) - self.read)

    def cost(self, *, output: int) -> USD | None:
        """Dollars of this one call, with `output` tokens of it; `None` when the prices are unknown."""
        if self.expected is None:
            return None
        return estimated_cost(self.expected, self.cache, tokens=self.tokens, cached=self.cached, output=output)

    def kept(self, tokens: int, *, seconds: float) -> int:
        """Tokens of the request that the provider would hold, had it read the first `tokens`, as we estimate them, `seconds` ago."""
        return min(self.tokens, self.cache.held(as_counted(tokens, self.scale), seconds=seconds)) if tokens else 0

    @classmethod
    def cold(cls, spec: ModelSpec, tokens: int, *, scale: float) -> Intake:
        """Take in a request of an estimated `tokens` for a model that has read nothing of the session."""
        cache, prices = spec.prompt_cache, spec.prices
        return new_intake(tokens=as_counted(tokens, scale), read=0, cached=0, scale=scale, held=1.0, cache=cache, expected=prices)

    @classmethod
    def of(cls, call: Call, spec: ModelSpec, visit: Visit) -> Intake:
        """Take in `call` for a model that was there before."""
        transcript, cache, prices = call.transcript, spec.prompt_cache, spec.prices
        scale, held, read = visit.scale, visit.held, tokens_read(transcript, visit)
        return new_intake(
            tokens=as_counted(transcript.tokens, scale),
            read=read,
            cached=cache.held(as_counted(read, scale), seconds=call.now - visit.at),
            scale=scale,
            held=held,
            cache=cache,
            expected=prices if prices is None or held == 1 else prices.expected(held),
        )


new_intake = maker(Intake)


def intakes_of(call: Call, specs: Mapping[ModelName, ModelSpec], session: Session | None) -> dict[ModelName, Intake]:
    """Take in `call` for every model."""
    visits: Mapping[ModelName, Visit] = {} if session is None else session.visits
    # How a model counts that was never asked is guessed from the last one that was.
    scale = max(visits.values(), key=_at).scale if visits else 1.0
    tokens = call.transcript.tokens
    return {
        name: Intake.of(call, spec, visits[name]) if name in visits else Intake.cold(spec, tokens, scale=scale)
        for name, spec in specs.items()
    }


def _at(visit: Visit) -> float:
    return visit.at
