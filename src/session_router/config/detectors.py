"""Settings -> detectors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from session_router.config.environment import dotted
from session_router.core.governance import Tag
from session_router.errors import ConfigurationError, MissingExtra

if TYPE_CHECKING:
    from session_router.config.environment import Layers, Path
    from session_router.config.schema import PresidioSection, Settings
    from session_router.ports import Detector


def build_detectors(settings: Settings, layers: Layers) -> list[Detector]:
    """Make the detectors that the configuration names.

    Raises:
        ConfigurationError: A pattern is no regular expression, or the spaCy model is not installed.
        MissingExtra: Presidio is not installed.
    """
    section = settings.detectors
    detectors: list[Detector] = []
    if section.patterns:
        from session_router.detectors.patterns import PatternDetector

        for name, one in section.patterns.items():
            try:
                detectors.append(PatternDetector({one.pattern: Tag(**one.model_dump(exclude={"pattern"}))}))
            except ConfigurationError as error:
                raise _problem(layers, ("detectors", "patterns", name, "pattern"), one.pattern, error.rule) from None
    if section.presidio is not None:
        detectors.append(_presidio(section.presidio, layers))
    return detectors


def _presidio(section: PresidioSection, layers: Layers) -> Detector:
    from session_router.detectors.presidio import LABELS, PresidioDetector

    labels = {name: Tag(**one.model_dump()) for name, one in section.labels.items()} or LABELS
    try:
        return PresidioDetector(labels, language=section.language, least_score=section.least_score, spacy_model=section.spacy_model)
    except MissingExtra:
        raise
    except ConfigurationError as error:
        raise _problem(layers, ("detectors", "presidio", error.key), error.value, error.rule) from None


def _problem(layers: Layers, path: Path, value: object, rule: str) -> ConfigurationError:
    return ConfigurationError(key=dotted(path), value=value, rule=rule, source=layers.source_of(path))
