"""A scorer that was fitted to outcomes: `session-router fit` writes its file."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from session_router.core.model import ModelName
from session_router.errors import ConfigurationError
from session_router.scorers.guarded import BELIEVED, Ruling
from session_router.scorers.inputs import Inputs, inputs_of
from session_router.scorers.windows import jump_of, questions_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from session_router.core.model import ModelSpec
    from session_router.core.need import Need, Question
    from session_router.ports import Embedder
    from session_router.scorers.fit import Fit, FittedModel
    from session_router.scorers.guard_limits import Guard


class FittedScorer:
    """Predicts need from outcomes of the past.

        scorer = FittedScorer(read_scorer_file(path), StaticEmbedder(), models={"fast": "gpt-5-mini", "strong": "claude-sonnet-4-6"})

    Looked at are what the user typed, in canonical form, and the features of the session; never tool output. The same question
    gives the same need, sync or async.

    Where the file has limits, the text is scored with and without windows of it as `GuardedScorer` does it, all in one batch. The guard
    compares all models of the file that it knows the cost of, whichever are asked about, so that a score does not depend on who else
    is a candidate, and is the one that the certificates are about.

    Args:
        fit: What was fitted.
        embedder: The embedder that it was fitted with.
        models: Names in `fit` by route; for routes that are called the same there, nothing need be said. When left out, all are
            called the same.
        guard: Whether the limits of `fit` count. Without them there are no certificates either: they are about the guarded scorer.

    Raises:
        ConfigurationError: It was fitted with another embedder, or does not know one of `models`.
    """

    def __init__(self, fit: Fit, embedder: Embedder, *, models: Mapping[str, str] | None = None, guard: bool = True) -> None:
        if (embedder.fingerprint, embedder.dimension) != (fit.fingerprint, fit.dimension):
            rule = (
                f"the scorer was fitted with the one of fingerprint {fit.fingerprint!r}; give that one, or run `session-router fit` again."
            )
            raise ConfigurationError(key="scorer.embedder", value=embedder.fingerprint, rule=rule)
        self._fit, self._embedder, self._guard = fit, embedder, fit.guard if guard else None
        certified = guard or fit.guard is None
        self._places = {model.name: place for place, model in enumerate(fit.models)}
        self._names = {ModelName(route): ModelName(name) for route, name in (models or {}).items()}
        for route, name in self._names.items():
            if name not in self._places:
                raise ConfigurationError(key=f"scorer.models.{route}", value=name, rule=f"choose one of {self._known()}.")
        self._fit_names = [model.name for model in fit.models]
        self._models = tuple(self._renamed(model) if certified else replace(model, certificate=None) for model in fit.models)

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
        inputs = self._inputs(question)
        return self._needs(inputs, self._embedder.embed(inputs.texts), models)

    async def ascore(self, question: Question, models: Mapping[ModelName, ModelSpec]) -> Mapping[ModelName, Need]:
        """Do what `score` does without blocking the event loop."""
        inputs = self._inputs(question)
        return self._needs(inputs, await self._embedder.aembed(inputs.texts), models)

    def _inputs(self, question: Question) -> Inputs:
        return inputs_of([question] if self._guard is None else questions_of(question))

    def _needs(self, inputs: Inputs, vectors: NDArray[np.float32], models: Mapping[ModelName, ModelSpec]) -> dict[ModelName, Need]:
        places = {route: self._place(route) for route in models}
        whole, *rests = self._fit.chances(vectors, inputs.features).tolist()
        ruling = BELIEVED if self._guard is None else ruling_of(self._guard, self._fit_names, whole, rests)
        if ruling.rest is None:
            return {route: self._models[place].need(whole[place]) for route, place in places.items()}
        rest = rests[ruling.rest]
        needs = {place: (self._models[place].need(whole[place]), self._models[place].need(rest[place])) for place in places.values()}
        return {route: ruling.need(*needs[place]) for route, place in places.items()}

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


def ruling_of(guard: Guard, names: Sequence[ModelName], whole: Sequence[float], rests: Sequence[Sequence[float]]) -> Ruling:
    """Rule on the chances of a whole text and of its rests.

    Args:
        guard: What the scorer is guarded with.
        names: Of the models.
        whole: Their chances for the whole text.
        rests: And for each rest of it; none for a text too short for windows.
    """
    named = [dict(zip(names, chances, strict=True)) for chances in (whole, *rests)]
    return Ruling.of([jump_of(named[0], rest, guard.costs) for rest in named[1:]], guard.limits)
