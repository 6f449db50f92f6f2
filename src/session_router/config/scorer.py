"""Settings -> the scorer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from session_router.config.environment import dotted
from session_router.config.files import beside
from session_router.config.problems import shown
from session_router.errors import ConfigurationError

if TYPE_CHECKING:
    from session_router.config.environment import Layers, Path
    from session_router.config.schema import Settings
    from session_router.ports import Embedder, Scorer


def build_scorer(settings: Settings, layers: Layers, *, key: bytes | None) -> Scorer | None:
    """Make the scorer that the configuration names.

    Args:
        settings: The configuration.
        layers: Where it came from.
        key: What the file must be signed with; `None` when there is no key.

    Returns:
        The scorer, or `None` for the router's default.

    Raises:
        ConfigurationError: The file cannot be used, or is given to a scorer that reads none, or a route is not among its models.
    """
    section = settings.scorer
    if section.kind in ("prior", "lexical"):
        return _unfitted(settings, layers)
    if section.path is None:
        if section.models or section.kind is not None:
            needs = "models" if section.models else "kind"
            raise _problem(layers, ("scorer", "path"), None, f"`scorer.{needs}` needs it: name a file that `session-router fit` wrote.")
        return None
    from session_router.scorers.fitted import FittedScorer
    from session_router.scorers.scorer_file import read_scorer_file

    try:
        fit = read_scorer_file(beside(layers.source, section.path), key=key)
    except ConfigurationError as error:
        raise _problem(layers, ("scorer", "path"), section.path, error.rule) from None
    embedder = built_in_embedder(fit.embedder)
    if embedder is None:
        rule = "it was fitted with an embedder of your own; give `scorer=FittedScorer(read_scorer_file(path), embedder)` in Python instead."
        raise _problem(layers, ("scorer", "path"), section.path, rule)
    try:
        scorer = FittedScorer(fit, embedder, models=section.models, guard=section.guard)
        scorer.check_routes(settings.models)
    except ConfigurationError as error:
        raise _problem(layers, tuple(error.key.split(".", 2)), error.value, error.rule) from None
    return scorer


def _unfitted(settings: Settings, layers: Layers) -> Scorer:
    section = settings.scorer
    given: dict[str, object] = {"path": section.path, "models": section.models or None}
    for name, value in given.items():
        if value is not None:
            rule = f"it is for `kind` 'fitted' only, not for {section.kind!r}; remove it, or change `kind`."
            raise _problem(layers, ("scorer", name), value, rule)
    if section.kind == "lexical":
        from session_router.scorers.lexical import LexicalScorer

        return LexicalScorer()
    from session_router.embedders.static import StaticEmbedder
    from session_router.scorers.prior import PriorScorer

    return PriorScorer(StaticEmbedder())


def built_in_embedder(name: str) -> Embedder | None:
    """Return the embedder that files call `name`; `None` when none of ours is called so."""
    if name == "static":
        from session_router.embedders.static import StaticEmbedder

        return StaticEmbedder()
    if name == "hash":
        from session_router.embedders.hashing import HashEmbedder

        return HashEmbedder()
    return None


def _problem(layers: Layers, path: Path, value: object, rule: str) -> ConfigurationError:
    return ConfigurationError(key=dotted(path), value=shown(path, value, layers), rule=rule, source=layers.source_of(path))
