"""Detects personal data with Microsoft Presidio (extra `detectors`)."""

from __future__ import annotations

import asyncio
import importlib
import threading
from typing import TYPE_CHECKING, Any, Final

from session_router.core.checking import check_number
from session_router.core.governance import Level, Tag, join
from session_router.errors import ConfigurationError, MissingExtra

if TYPE_CHECKING:
    from collections.abc import Mapping

PERSON: Final = Tag(level=Level.CONFIDENTIAL, categories=frozenset({"pii"}))
PAYMENT: Final = Tag(level=Level.CONFIDENTIAL, categories=frozenset({"pii", "pci"}))
HEALTH: Final = Tag(level=Level.CONFIDENTIAL, categories=frozenset({"pii", "phi"}))

LABELS: Final[Mapping[str, Tag]] = {
    "PERSON": PERSON,
    "EMAIL_ADDRESS": PERSON,
    "PHONE_NUMBER": PERSON,
    "IP_ADDRESS": PERSON,
    "US_SSN": PERSON,
    "US_PASSPORT": PERSON,
    "US_DRIVER_LICENSE": PERSON,
    "CREDIT_CARD": PAYMENT,
    "IBAN_CODE": PAYMENT,
    "US_BANK_NUMBER": PAYMENT,
    "UK_NHS": HEALTH,
    "MEDICAL_LICENSE": HEALTH,
}
"""Labels by Presidio's entities. Dates, places and web addresses are in nearly every text, and are not among them."""


DEFAULT_MODEL: Final = "en_core_web_lg"


class PresidioDetector:
    """What Presidio finds, as a label. Passes `testing.DetectorSuite`.

    A detector overlooks things: it is a second line behind labels at the source, not instead of them.

    Args:
        labels: Labels by entity; others are not looked for.
        language: Of the texts.
        least_score: Findings below this score, in [0, 1], do not count.
        spacy_model: The spaCy model that is used; it must be installed, and is never downloaded. `None` for none: then only what has a
            form of its own is found, such as numbers of cards and accounts, e-mail addresses; no names.
        analyzer: An `AnalyzerEngine` of yours; otherwise one is built at the first text. (Presidio's recogniser of e-mail addresses asks
            the net for the list of public suffixes, and uses its own copy where there is none.)

    Raises:
        MissingExtra: Presidio is not installed.
        ConfigurationError: The spaCy model is not installed, or a setting is wrong.
    """

    def __init__(
        self,
        labels: Mapping[str, Tag] = LABELS,
        *,
        language: str = "en",
        least_score: float = 0.5,
        spacy_model: str | None = DEFAULT_MODEL,
        analyzer: Any = None,  # noqa: ANN401 -- Presidio's, which need not be installed
    ) -> None:
        check_number(least_score, key="least_score", rule="give a score in [0, 1].", high=1.0)
        if not labels:
            raise ConfigurationError(key="labels", value={}, rule="give a label for at least one entity.")
        self._labels, self._language, self._least = dict(labels), language, least_score
        self._analyzer, self._model = analyzer, spacy_model
        self._building = threading.Lock()
        if analyzer is None:
            _check_installed(spacy_model)

    def detect(self, text: str) -> Tag:
        """Return the join over the labels of all that is found."""
        # Presidio and spaCy know no lone surrogates.
        readable = text.encode("utf-8", "replace").decode("utf-8")
        found = {entity for window in _windows(readable) for entity in self._found(window)}
        return join(*(tag for entity, tag in self._labels.items() if entity in found))

    async def adetect(self, text: str) -> Tag:
        """Do what `detect` does, in a thread."""
        return await asyncio.to_thread(self.detect, text)

    def _found(self, text: str) -> list[str]:
        if not text.strip():
            return []
        results = self._engine().analyze(text=text, language=self._language, entities=list(self._labels), score_threshold=self._least)
        return [result.entity_type for result in results if result.score >= self._least]

    def _engine(self) -> Any:  # noqa: ANN401 -- Presidio's
        with self._building:
            if self._analyzer is None:
                self._analyzer = _analyzer_of(self._language, self._model)
            return self._analyzer


def _analyzer_of(language: str, model: str | None) -> Any:  # noqa: ANN401 -- Presidio's
    presidio, engines = importlib.import_module("presidio_analyzer"), importlib.import_module("presidio_analyzer.nlp_engine")
    if (language, model) == ("en", DEFAULT_MODEL):
        return presidio.AnalyzerEngine()
    engine = engines.SpacyNlpEngine(models=[{"lang_code": language, "model_name": model or f"blank:{language}"}])
    if model is None:
        engine.nlp = {language: importlib.import_module("spacy").blank(language)}
    return presidio.AnalyzerEngine(nlp_engine=engine, supported_languages=[language])


def _windows(text: str) -> list[str]:
    """Cut a text that is longer than spaCy takes; what is found is never longer than two windows share."""
    return [text[start : start + _WINDOW + _SHARED] for start in range(0, max(1, len(text)), _WINDOW)]


_WINDOW: Final = 100_000
_SHARED: Final = 500


def _check_installed(model: str | None) -> None:
    try:
        importlib.import_module("presidio_analyzer")
        spacy: Any = importlib.import_module("spacy.util")
    except ImportError:
        raise MissingExtra(extra="detectors", package="presidio-analyzer", feature="PresidioDetector") from None
    if model is not None and not spacy.is_package(model):
        rule = (
            f"it is not installed: `python -m spacy download {model}`. Or give another model, none at all, or an `analyzer` of yours, "
            "such as one with a model from a path."
        )
        raise ConfigurationError(key="spacy_model", value=model, rule=rule)
