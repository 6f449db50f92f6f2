"""The models that a simulated provider serves."""

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from session_router.testing.providers.behaviour import Behaviour
from session_router.testing.providers.schema_behaviour import SchemaBehaviour
from session_router.testing.providers.tokens import Usage

Provider: TypeAlias = Literal["openai", "anthropic"]

_PER_MILLION = 1_000_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Prices:
    """Prices in US dollars per million tokens.

    `cache_write` and `cache_write_1h` are what Anthropic asks for writing a prefix for five minutes and for an
    hour. OpenAI writes for nothing.
    """

    input: float = 3.00
    cached_input: float = 0.30
    cache_write: float = 3.75
    cache_write_1h: float = 6.00
    output: float = 15.00

    def dollars(self, usage: Usage) -> float:
        """Return what `usage` costs, in US dollars."""
        total = (
            usage.uncached_input * self.input
            + usage.cached_input * self.cached_input
            + usage.written_5m * self.cache_write
            + usage.written_1h * self.cache_write_1h
            + usage.output * self.output
        )
        return total / _PER_MILLION


@dataclass(frozen=True, kw_only=True, slots=True)
class SimulatedModel:
    """A model of a simulated provider.

    Attributes:
        id: The id that clients ask for.
        provider: Whose API serves it: OpenAI's two, or Anthropic's.
        dated_id: The id that answers carry, such as `sim-fast-2026-01-01`; `id` where it is `None`. Clients may
            ask for either.
        family: Models of one family can read each other's OpenAI `encrypted_content`; `id` where it is `None`.
        context_window: Most input tokens that it accepts.
        prices: What it costs.
        reasons: Whether OpenAI's Responses API shows reasoning items without being asked to.
        behaviour: How it answers.
    """

    id: str
    provider: Provider
    dated_id: str | None = None
    family: str | None = None
    context_window: int = 200_000
    prices: Prices = Prices()
    reasons: bool = False
    behaviour: Behaviour = field(default_factory=SchemaBehaviour)

    @property
    def answers_as(self) -> str:
        """Return the model id that answers carry."""
        return self.dated_id or self.id

    @property
    def family_name(self) -> str:
        """Return the name of the family."""
        return self.family or self.id
