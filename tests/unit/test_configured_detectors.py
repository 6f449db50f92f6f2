"""`[detectors]` of a configuration: which are made, and what is said of those that cannot be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from session_router import Tag, load_router
from session_router.core.governance import PUBLIC, TOP, Level, join
from session_router.detectors import presidio
from session_router.detectors.detecting import Detected
from session_router.errors import ConfigurationError, MissingExtra

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MODEL = '[models.fast]\nmodel = "openai:small"\nprices = {input = 0.25, output = 2}\n'
PATTERNS = r"""
[detectors.patterns.projects]
pattern = '\bPROJECT-[A-Z]{4}\b'
level = "restricted"
categories = ["source_code"]
[detectors.patterns.hosts]
pattern = '\.internal\b'
level = "internal"
"""
CODE, HOST = Tag(level=Level.RESTRICTED, categories=frozenset({"source_code"})), Tag(level=Level.INTERNAL)


@pytest.fixture
def configured(write: Callable[[str], Path]) -> Callable[..., Any]:
    def configured(text: str, environment: dict[str, str] | None = None, **settings: Any) -> Any:
        return load_router(write(text + MODEL), environment=environment or {}, **settings)

    return configured


def test_nothing_is_looked_for_unless_stated(configured: Any) -> None:
    assert configured("").detecting is None
    assert configured(PATTERNS, detectors=()).detecting is None


def test_patterns_are_looked_for(configured: Any) -> None:
    texts = ["PROJECT-ABCD at db.internal", "PROJECT-ABCD", "nothing"]
    assert configured(PATTERNS).detecting.detect(texts) == [Detected(join(CODE, HOST)), Detected(CODE), Detected(PUBLIC)]


def test_presidio_looks_for_what_it_is_told_to(configured: Any) -> None:
    detecting = configured('[detectors.presidio]\nspacy_model = "none"\nlabels.EMAIL_ADDRESS = {level = "internal"}\n').detecting
    assert detecting.detect(["write to ann@example.org", "the card is 4111 1111 1111 1111"]) == [Detected(HOST), Detected(PUBLIC)]


def test_the_policy_says_what_counts_where_one_fails(configured: Any) -> None:
    text = '[policy]\ndetector_seconds = 0.5\nundetected = {level = "internal"}\n'
    policy = configured(text).policy
    assert (policy.detector_seconds, policy.undetected) == (0.5, HOST)
    assert configured('[policy]\nundetected = "top"\n').policy.undetected == TOP
    assert configured('[policy]\nundetected = "public"\n').policy.undetected == PUBLIC


@pytest.mark.parametrize(
    ("text", "key", "rule"),
    [
        ("[detectors.patterns.a]\npattern = '('\n", "detectors.patterns.a.pattern", "it is no regular expression"),
        ("[detectors.patterns.a]\nlevel = 1\n", "detectors.patterns.a.pattern", "it is required"),
        ("[detectors.presidio]\nspacy_model = 'en_core_web_none'\n", "detectors.presidio.spacy_model", "it is not installed"),
        ("[detectors.presidio]\nleast_score = 2\n", "detectors.presidio.least_score", "<= 1"),
        ("[policy]\ndetector_seconds = 0\n", "policy.detector_seconds", ">= 0.001"),
    ],
)
def test_a_wrong_setting_is_named(configured: Any, text: str, key: str, rule: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        configured(text)
    assert (caught.value.key, caught.value.source) == (key, str(tmp_path / "router.toml"))
    assert rule in caught.value.rule


def test_without_presidio_the_extra_is_named(configured: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib

    load = importlib.import_module

    def missing(name: str, *rest: Any) -> Any:
        if name.startswith("presidio"):
            raise ImportError(name)
        return load(name, *rest)

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(MissingExtra, match=r"session-router\[detectors\]"):
        configured('[detectors.presidio]\nspacy_model = "none"\n')


def test_presidio_is_given_its_defaults() -> None:
    from session_router.config.schema import PresidioSection

    section = PresidioSection()
    detector = presidio.PresidioDetector(spacy_model=None)
    assert (section.language, section.least_score) == (detector._language, detector._least)
    assert section.spacy_model == presidio.DEFAULT_MODEL
