"""A scorer that was fitted to outcomes: `session-router fit` writes its file."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from session_router.core.model import ModelName
from session_router.errors import ConfigurationError
from session_router.scorers.inputs import Inputs, inputs_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import numpy as np
    from numpy.typing import NDArray

    from session_router.core.model import ModelSpec
    from session_router.core.need import Need, Question
    from session_router.ports import Embedder
    from session_router.scorers.fit import Fit, FittedModel


class FittedScorer:
    """Predicts need from outcomes of the past.

        scorer = FittedScorer(read_scorer_file(path), StaticEmbedder(), models={"fast": "gpt-5-mini", "strong": "claude-sonnet-4-6"})

    Looked at are what the user typed, in canonical form, and the features of the session; never tool output. The same question
    gives the same need, sync or async.

    Args:
        fit: What was fitted.
        embedder: The embedder that it was fitted with.
        models: Names in `fit` by route; for routes that are called the same there, nothing need be said. When left out, all are
            called the same.

    Raises:
        ConfigurationError: It was fitted with another embedder, or does not know one of `models`.
    """

    def __init__(self, fit: Fit, embedder: Embedder, *, models: Mapping[str, str] | None = None) -> None:
        if (embedder.fingerprint, embedder.dimension) != (fit.fingerprint, fit.dimension):
            rule = (
                f"the scorer was fitted with the one of fingerprint {fit.fingerprint!r}; give that one, or run `session-router fit` again."
            )
            raise ConfigurationError(key="scorer.embedder", value=embedder.fingerprint, rule=rule)
        self._fit, self._embedder = fit, embedder
        self._places = {model.name: place for place, model in enumerate(fit.models)}
        self._names = {ModelName(route): ModelName(name) for route, name in (models or {}).items()}
        for route, name in self._names.items():
            if name not in self._places:
                raise ConfigurationError(key=f"scorer.models.{route}", value=name, rule=f"choose one of {self._known()}.")
        self._models = tuple(self._renamed(model) for model in fit.models)

    def check_routes(self, routes: Iterable[str]) -> None:
        """See that there are outcomes of every route. A router asks this before it scores anything.

        Raises:
            ConfigurationError: There are none of one of `routes`, or a name is given to a route that there is not.
        """
        known = set(routes)
        for route in known - self._names.keys():
            if route not in self._places:
                rule = f"the scorer was not fitted to a model of this name; say which of {self._known()} it is, or fit to its outcomes too."
                raise ConfigurationError(key=f"scorer.models.{route}", value=None, rule=rule)
        if unknown := sorted(self._names.keys() - known):
            rule = f"there is no model of this name; the routes are {sorted(known)!r}."
            raise ConfigurationError(key=f"scorer.models.{unknown[0]}", value=unknown[0], rule=rule)

    def score(self, question: Question, models: Mapping[ModelName, ModelSpec]) -> Mapping[ModelName, Need]:
        """Return the need of every model in `models`.

        Raises:
            ConfigurationError: One of them is not known.
            EmbedderError: There is no vector for the text.
        """
        inputs = inputs_of([question])
        return self._needs(inputs, self._embedder.embed(inputs.texts), models)

    async def ascore(self, question: Question, models: Mapping[ModelName, ModelSpec]) -> Mapping[ModelName, Need]:
        """Do what `score` does without blocking the event loop."""
        inputs = inputs_of([question])
        return self._needs(inputs, await self._embedder.aembed(inputs.texts), models)

    def _needs(self, inputs: Inputs, vectors: NDArray[np.float32], models: Mapping[ModelName, ModelSpec]) -> dict[ModelName, Need]:
        places = {route: self._place(route) for route in models}
        chances = self._fit.chances(vectors, inputs.features)[0]
        return {route: self._models[place].need(float(chances[place])) for route, place in places.items()}

    def _place(self, route: ModelName) -> int:
        place = self._places.get(self._names.get(route, route))
        if place is None:
            rule = f"the scorer was not fitted to a model of this name; say which of {self._known()} it is."
            raise ConfigurationError(key=f"scorer.models.{route}", value=None, rule=rule)
        return place

    def _known(self) -> str:
        return ", ".join(f"`{name}`" for name in sorted(self._places))

    def _renamed(self, model: FittedModel) -> FittedModel:
        """Let the certificate name its reference as the routes do: the first that is the reference."""
        if model.certificate is None:
            return model
        named = [route for route, name in self._names.items() if name == self._fit.reference]
        reference = named[0] if named else self._fit.reference
        return replace(model, certificate=replace(model.certificate, reference=reference))
