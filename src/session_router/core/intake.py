"""What a request is to one model: its tokens as the provider counts them, what is still cached, the prices to expect."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from session_router.core.prefix import cached_tokens
from session_router.core.pricing import Usage, billed, call_cost
from session_router.errors import ConfigurationError

if TYPE_CHECKING:
    from session_router.core.call import Call
    from session_router.core.model import ModelName, ModelSpec
    from session_router.core.prefix import PromptCache
    from session_router.core.pricing import USD, Prices
    from session_router.core.session import Session


@dataclass(frozen=True, slots=True, kw_only=True)
class Intake:
    """A request, as one model's provider would take it in.

    Attributes:
        tokens: Of the request, as the provider would count them.
        cached: Of these, those that it should still hold. That a provider holds less than it should is in the prices.
        scale: Tokens that it counts for one that we estimate: for a model that was never asked, those of the last one that was.
        held: Share of what should be cached that it was seen to have cached.
        cache: How it caches.
        expected: Its prices, as expected when it caches a share of `held`; `None` when they are unknown.
    """

    tokens: float
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

    def cost(self, *, output: int) -> USD | None:
        """Dollars of this one call, with `output` tokens of it; `None` when the prices are unknown."""
        if self.expected is None:
            return None
        usage = Usage(input=round(self.tokens), cached=self.cached, output=output)
        return call_cost(self.expected, billed(usage, self.expected, self.cache))

    def kept(self, tokens: int, *, seconds: float) -> float:
        """Tokens of the request that the provider would hold, had it read the first `tokens`, as we estimate them, `seconds` ago."""
        return min(self.tokens, self.cache.cacheable(int(tokens * self.scale))) if self.cache.keeps_for(seconds) else 0

    @classmethod
    def of(cls, call: Call, spec: ModelSpec, session: Session | None, name: ModelName) -> Intake:
        """Take in `call` for `name`, which is described by `spec`."""
        visit = last = None if session is None else session.visits.get(name)
        if visit is None and session is not None and session.visits:
            last = max(session.visits.values(), key=lambda one: one.at)
        scale, held = 1.0 if last is None else last.scale, 1.0 if visit is None else visit.held
        return cls(
            tokens=call.transcript.tokens * scale,
            cached=cached_tokens(call.transcript, visit, now=call.now, cache=spec.prompt_cache, scale=scale),
            scale=scale,
            held=held,
            cache=spec.prompt_cache,
            expected=spec.prices if spec.prices is None or held == 1 else spec.prices.expected(held),
        )
