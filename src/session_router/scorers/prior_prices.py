"""How strong models are, as far as it can be told without outcomes: by stated skill, else by price, else by stated size."""

from __future__ import annotations

import re
from math import log
from typing import TYPE_CHECKING

from session_router.scorers.prior_model import LEAST_RELATIVE_PRICE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from session_router.core.model import ModelName, ModelSpec
    from session_router.scorers.prior_model import Prior

_LONGEST_NAME = 256
# `llama-3-70b-instruct`, `mixtral:8x7b`, `qwen2.5-0.5b`: what stands alone, so that neither `gpt-4.1b2` nor `128bit` is a size.
_SIZE = re.compile(r"(?<![a-z0-9.])(?:([0-9]{1,2})x)?([0-9]{1,4}(?:\.[0-9]{1,2})?)b(?![a-z0-9])")


def relative_prices(models: Mapping[ModelName, ModelSpec], prior: Prior) -> dict[ModelName, float | None]:
    """Return the logarithm of each model's price over that of the dearest of `models`.

    A stated skill takes the place of the price: 1 is the dearest model's, and every 0.1 less is what half the price is. A model
    without a price above zero, such as one on an engine of your own, is taken for as dear as hosted models of the size that its
    name states.

    Returns:
        Each at most 0; `None` for a model that states neither.
    """
    prices = {name: _price(spec, prior) for name, spec in models.items()}
    dearest = max((price for price in prices.values() if price is not None), default=0.0)
    found: dict[ModelName, float | None] = {}
    for name, spec in models.items():
        price = prices[name]
        if spec.skill is not None:
            found[name] = (spec.skill - 1) * -LEAST_RELATIVE_PRICE
        else:
            found[name] = None if price is None else log(price / dearest)
    return found


def _price(spec: ModelSpec, prior: Prior) -> float | None:
    """Return input and output together, in US dollars per 1,000,000 tokens."""
    price = 0.0 if spec.prices is None else spec.prices.input + spec.prices.output
    if price > 0:
        return price
    size = stated_size([*([spec.model] if isinstance(spec.model, str) else []), *sorted(spec.provider_ids)])
    return None if size is None else prior.dollars * size**prior.exponent


def stated_size(names: Iterable[str]) -> float | None:
    """Return the size that the first of `names` with one states, in 1,000,000,000 parameters: 70 for `llama-3-70b`, 56 for `8x7b`."""
    for name in names:
        if found := _SIZE.search(name[:_LONGEST_NAME].lower().replace("_", "-")):
            size = int(found[1] or 1) * float(found[2])
            if size > 0:
                return size
    return None
