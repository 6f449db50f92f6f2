"""Which scorer a configuration asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from session_router.config import load_router
from session_router.core.need import Question
from session_router.errors import ConfigurationError
from session_router.scorers.lexical import LexicalScorer
from session_router.scorers.prior import PriorScorer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MODELS = """
[models.fast]
model = "openai:gpt-5-mini"
prices = { input = 0.25, output = 2.0 }

[models.strong]
model = "openai:gpt-5"
prices = { input = 2.5, output = 20.0 }
"""


@pytest.fixture
def written(write: Callable[[str], Path]) -> Callable[[str], Path]:
    return lambda scorer: write(f"{MODELS}\n[scorer]\nguard = false\n{scorer}\n")


@pytest.mark.parametrize(("kind", "expected"), [("prior", PriorScorer), ("lexical", LexicalScorer)])
def test_a_scorer_without_a_file_is_chosen_by_name(written: Callable[[str], Path], kind: str, expected: type) -> None:
    router = load_router(written(f'kind = "{kind}"'), environment={})
    assert type(router.scorer) is expected
    needs = router.scorer.score(Question(text="prove it", turn=1), router.models)
    assert needs[next(iter(router.models))].p_success < needs[list(router.models)[1]].p_success


def test_a_variable_chooses_too(written: Callable[[str], Path]) -> None:
    router = load_router(written(""), environment={"SESSION_ROUTER__SCORER__KIND": "prior"})
    assert isinstance(router.scorer, PriorScorer)


@pytest.mark.parametrize(
    ("scorer", "key", "words"),
    [
        ('kind = "prior"\npath = "scorer.json"', "scorer.path", "for `kind` 'fitted' only"),
        ('kind = "lexical"\nmodels = { fast = "a" }', "scorer.models", "for `kind` 'fitted' only"),
        ('kind = "fitted"', "scorer.path", "`scorer.kind` needs it"),
        ('kind = "guess"', "scorer.kind", "'prior'"),
    ],
)
def test_what_does_not_go_together_is_named(written: Callable[[str], Path], scorer: str, key: str, words: str) -> None:
    path = written(scorer)
    with pytest.raises(ConfigurationError, match=key) as caught:
        load_router(path, environment={})
    assert caught.value.key == key
    assert words in str(caught.value)
    assert str(path) in str(caught.value)
