"""A scorer for models that nobody has outcomes of yet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from session_router.errors import ConfigurationError
from session_router.scorers.inputs import Inputs, inputs_of
from session_router.scorers.prior_file import SHIPPED, read_prior
from session_router.scorers.prior_prices import relative_prices

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    from session_router.core.model import ModelName, ModelSpec
    from session_router.core.need import Need, Question
    from session_router.ports import Embedder
    from session_router.scorers.prior_model import Prior


class PriorScorer:
    """Expects of a model what others as dear beside the dearest one have shown, and less on texts that look harder.

        scorer = PriorScorer(StaticEmbedder())

    Trained on public outcomes of other models on other tasks than yours. So its intervals are wide: they are to hold four of five
    families of tasks and models that it has never seen. They say nothing for certain, and it never gives a certificate: a risk gate
    that asks for one lets no downgrade pass. Fit to your own outcomes (`FittedScorer`) as soon as there are some.

    Of the models only skill, price and stated size count; a dearer one is never less likely to serve. Of the question only what
    the user typed counts, in canonical form; never tool output. The same question gives the same need, sync or async.

    Args:
        embedder: The one that the prior was trained with: the built-in one.
        prior: Instead of the one that comes with the package.

    Raises:
        ConfigurationError: The prior was trained with another embedder, or its file is damaged.
    """

    def __init__(self, embedder: Embedder, *, prior: Prior | None = None) -> None:
        self._prior = read_prior(SHIPPED) if prior is None else prior
        if (embedder.fingerprint, embedder.dimension) != (self._prior.fingerprint, self._prior.dimension):
            rule = f"the prior was trained with the one of fingerprint {self._prior.fingerprint!r}; give that: `StaticEmbedder()`."
            raise ConfigurationError(key="scorer.embedder", value=embedder.fingerprint, rule=rule)
        self._embedder = embedder

    def score(self, question: Question, models: Mapping[ModelName, ModelSpec]) -> Mapping[ModelName, Need]:
        """Return the need of every model in `models`.

        Raises:
            EmbedderError: There is no vector for the text.
        """
        inputs = inputs_of([question])
        return self._needs(inputs, self._embedder.embed(inputs.texts), models)

    async def ascore(self, question: Question, models: Mapping[ModelName, ModelSpec]) -> Mapping[ModelName, Need]:
        """Do what `score` does without blocking the event loop."""
        inputs = inputs_of([question])
        return self._needs(inputs, await self._embedder.aembed(inputs.texts), models)

    def _needs(self, inputs: Inputs, vectors: NDArray[np.float32], models: Mapping[ModelName, ModelSpec]) -> dict[ModelName, Need]:
        difficulty = float(self._prior.difficulties(vectors, inputs.features)[0])
        return {name: self._prior.need(difficulty, price) for name, price in relative_prices(models, self._prior).items()}
