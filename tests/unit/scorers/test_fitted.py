"""A fitted scorer at work, and at rest."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from session_router.core.model import ModelName, ModelSpec
from session_router.core.need import Question
from session_router.core.pricing import Prices
from session_router.core.risk import Certificate
from session_router.errors import ConfigurationError
from session_router.fitting import FitSettings, Method, fit_outcomes
from session_router.scorers.fitted import FittedScorer
from session_router.scorers.scorer_file import read_scorer_file, scorer_text
from session_router.scorers.sealed import sealed
from support.nasty_texts import NASTY
from support.outcomes import made_up
from support.word_embedder import WordEmbedder
from unit.fitting.test_fit import graded_of

if TYPE_CHECKING:
    from pathlib import Path

    from session_router.scorers.fit import Fit

KEY, OTHER_KEY = b"k" * 32, b"o" * 32
MODELS = {ModelName(name): ModelSpec(model=name, prices=Prices(input=1.0, output=1.0)) for name in ("fast", "strong")}
FITS = {method: fit_outcomes(graded_of(made_up(1_200)), WordEmbedder(), settings=FitSettings(method=method)).fit for method in Method}
EASY, HARD = "greet lamp thank garden orchard meeting 7", "integrate lamp prove garden orchard meeting 7"


@pytest.fixture(params=list(Method))
def fit(request: pytest.FixtureRequest) -> Fit:
    return FITS[request.param]


def test_the_chance_follows_the_question_and_lies_in_its_interval(fit: Fit) -> None:
    scorer = FittedScorer(fit, WordEmbedder())
    easy, hard = (scorer.score(Question(text=text), MODELS) for text in (EASY, HARD))
    fast, strong = ModelName("fast"), ModelName("strong")
    assert easy[fast].p_success > 0.8
    assert hard[fast].p_success < 0.4
    assert hard[strong].p_success > hard[fast].p_success
    for need in (*easy.values(), *hard.values()):
        assert need.high - need.low < 0.5
    assert easy[fast].certificate is not None
    assert easy[fast].certificate.reference == "strong"
    assert hard[fast].certificate is None
    assert easy[strong].certificate is None


async def test_the_same_question_gives_the_same_need_alone_and_async(fit: Fit) -> None:
    embedder = WordEmbedder()
    scorer = FittedScorer(fit, embedder)
    for text in (EASY, HARD, *NASTY):
        question = Question(text=text, recent=NASTY[:3], turn=2)
        assert (
            await scorer.ascore(question, MODELS)
            == scorer.score(question, MODELS)
            == scorer.score(question, dict(reversed(MODELS.items())))
        )
    assert "asynchronously:" in embedder.asked


def test_any_text_has_a_need(fit: Fit) -> None:
    scorer = FittedScorer(fit, WordEmbedder())
    for text in ("", "x" * 1_000_000, "\ud800", *NASTY):
        assert set(scorer.score(Question(text=text), MODELS)) == set(MODELS)


def test_what_nobody_sees_changes_nothing(fit: Fit) -> None:
    scorer = FittedScorer(fit, WordEmbedder())
    hidden = "".join(f"{character}\u200b" for character in EASY)
    assert scorer.score(Question(text=hidden), MODELS) == scorer.score(Question(text=EASY), MODELS)
    assert scorer.score(Question(text=HARD), MODELS) != scorer.score(Question(text=EASY), MODELS)


def test_routes_may_be_called_otherwise_and_certificates_with_them() -> None:
    fit = FITS[Method.LOGISTIC]
    scorer = FittedScorer(fit, WordEmbedder(), models={"small": "fast", "large": "strong"})
    scorer.check_routes(["small", "large"])
    routes = {ModelName("small"): MODELS[ModelName("fast")], ModelName("large"): MODELS[ModelName("strong")]}
    needs = scorer.score(Question(text=EASY), routes)
    plain = FittedScorer(fit, WordEmbedder()).score(Question(text=EASY), MODELS)
    assert needs[ModelName("small")].p_success == plain[ModelName("fast")].p_success
    certificate = needs[ModelName("small")].certificate
    assert certificate is not None
    assert certificate.reference == "large"


def test_what_does_not_fit_is_said_before_anything_is_scored() -> None:
    fit = FITS[Method.LOGISTIC]
    for make, key, words in (
        (lambda: FittedScorer(fit, WordEmbedder(32)), "scorer.embedder", "fitted with the one of fingerprint"),
        (lambda: FittedScorer(fit, WordEmbedder(), models={"small": "fats"}), "scorer.models.small", "`fast`, `strong`"),
        (lambda: FittedScorer(fit, WordEmbedder()).check_routes(["fast", "huge"]), "scorer.models.huge", "say which of"),
        (lambda: FittedScorer(fit, WordEmbedder(), models={"tiny": "fast"}).check_routes(["fast"]), "scorer.models.tiny", "no model"),
        (lambda: FittedScorer(fit, WordEmbedder()).score(Question(text=""), {ModelName("huge"): ModelSpec()}), "scorer.models.huge", "say"),
    ):
        with pytest.raises(ConfigurationError, match="scorer") as caught:
            make()
        assert caught.value.key == key
        assert words in caught.value.rule


def at(path: Path, text: str | bytes) -> Path:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_what_is_read_back_is_what_was_written(fit: Fit, tmp_path: Path) -> None:
    for key in (None, KEY):
        text = scorer_text(fit, key=key)
        read = read_scorer_file(at(tmp_path / "scorer.json", text), key=key)
        assert scorer_text(read, key=key) == text
        for question in (Question(text=EASY), Question(text=HARD, tool_errors=3)):
            one, other = (FittedScorer(made, WordEmbedder()).score(question, MODELS) for made in (fit, read))
            assert one == other


def test_with_a_key_only_what_was_signed_with_it_is_read(tmp_path: Path) -> None:
    fit = FITS[Method.LOGISTIC]
    path = tmp_path / "scorer.json"
    for written, asked, words in ((None, KEY, "not signed"), (OTHER_KEY, KEY, "another key")):
        at(path, scorer_text(fit, key=written))
        with pytest.raises(ConfigurationError, match=words):
            read_scorer_file(path, key=asked)
    # One who changes the numbers and makes the digest anew has no key.
    forged = json.loads(scorer_text(fit, key=KEY))
    forged["content"]["models"][0]["intercept"] = 10.0
    body = json.dumps(forged["content"], sort_keys=True, separators=(",", ":")).encode()
    forged["sha256"] = hashlib.sha256(body).hexdigest()
    at(path, json.dumps(forged))
    with pytest.raises(ConfigurationError, match="another key, or was changed"):
        read_scorer_file(path, key=KEY)
    assert read_scorer_file(path).models[0].intercept == 10.0
    assert read_scorer_file(at(path, scorer_text(fit, key=KEY))).models == fit.models


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "cannot be read"),
        (b"", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[]", "no scorer"),
        (b"{}", "no scorer"),
        (b'{"schema": "session-router scorer", "version": NaN}', "not JSON"),
        (b'{"schema": "session-router scorer", "version": 4}', "version 3"),
        (b'{"schema": "session-router scorer", "version": []}', "version 3"),
        (b'{"schema": "session-router scorer", "version": 3}', "shape"),
        (b'{"schema": "session-router scorer", "version": 2}', "shape"),
        (b'{"schema": "session-router scorer", "version": 1}', "shape"),
        (b'{"schema": "session-router scorer", "version": ' + b"9" * 5_000 + b"}", "not JSON"),
    ],
)
def test_a_file_that_is_none_is_refused(tmp_path: Path, content: bytes | None, words: str) -> None:
    path = tmp_path / "scorer.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigurationError) as caught:
        read_scorer_file(path)
    assert words in caught.value.rule
    assert "session-router fit" in caught.value.rule


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_changed_or_cut_file_is_refused_and_never_a_surprise(tmp_path: Path, data: st.DataObject) -> None:
    text = scorer_text(FITS[Method.LOGISTIC]).encode()
    place = data.draw(st.integers(0, len(text) - 2))
    changed = text[:place] + (data.draw(st.binary(min_size=1, max_size=3)) if data.draw(st.booleans()) else b"")
    with pytest.raises(ConfigurationError) as caught:
        read_scorer_file(at(tmp_path / "scorer.json", changed))
    assert caught.value.rule


JUNK: list[Any] = [None, True, -1, 1.5, 1e308, 10**400, "x", [], {}, [None], {"a": 1}, float("1e999")]


@pytest.mark.parametrize("method", list(Method))
def test_whatever_stands_in_place_of_a_value_is_refused_or_can_be_scored_with(method: Method, tmp_path: Path) -> None:
    """Every value in turn, under a digest that is right: only the schema stands in the way."""
    content = json.loads(scorer_text(FITS[method]))["content"]
    refused = taken = 0
    for holder, key in list(places_in(content)):
        kept = holder[key]
        for junk in JUNK:
            holder[key] = junk
            try:
                text = sealed(content, key=None)
            except ValueError:
                continue  # infinite: no such file can be written
            try:
                fit = read_scorer_file(at(tmp_path / "scorer.json", text))
                scorer = FittedScorer(fit, WordEmbedder(), models=dict(zip(MODELS, (model.name for model in fit.models), strict=True)))
                assert set(scorer.score(Question(text=EASY), MODELS)) == set(MODELS)
                taken += 1
            except ConfigurationError:
                refused += 1
        holder[key] = kept
    assert refused > 10 * taken > 0
    assert read_scorer_file(at(tmp_path / "scorer.json", sealed(content, key=None))).models == FITS[method].models


def places_in(value: Any) -> Any:
    """Yield every holder with each key in it, of the first items of long lists."""
    items = list(value.items()) if isinstance(value, dict) else list(enumerate(value))[:2] if isinstance(value, list) else []
    for key, inner in items:
        yield value, key
        yield from places_in(inner)


def test_numbers_that_are_none_are_refused(tmp_path: Path) -> None:
    for number in (np.nan, np.inf):
        content = json.loads(scorer_text(FITS[Method.LOGISTIC]))["content"]
        plain = content["predictor"]["weights"]
        weights = np.frombuffer(base64.b64decode(plain["base64"]), dtype="<f4").copy()
        weights[7] = number
        plain["base64"] = base64.b64encode(weights.tobytes()).decode()
        with pytest.raises(ConfigurationError, match="out of its range"):
            read_scorer_file(at(tmp_path / "scorer.json", sealed(content, key=None)))


def test_a_scorer_of_other_features_says_so(tmp_path: Path) -> None:
    content = json.loads(scorer_text(FITS[Method.LOGISTIC]))["content"]
    content["features"] = content["features"][1:]
    with pytest.raises(ConfigurationError, match="other features"):
        read_scorer_file(at(tmp_path / "scorer.json", sealed(content, key=None)))


def of_version(version: int, content: dict[str, Any]) -> str:
    envelope = json.loads(sealed(content, key=None))
    return json.dumps({**envelope, "version": version})


def test_files_of_versions_before_are_read_where_they_say_the_same(tmp_path: Path) -> None:
    fit = FITS[Method.LOGISTIC]
    content = json.loads(scorer_text(fit))["content"]
    assert read_scorer_file(at(tmp_path / "scorer.json", of_version(2, content))).models == fit.models
    # Neighbours were once a method of their own.
    alone = json.loads(scorer_text(FITS[Method.BLEND]))["content"]
    alone["predictor"] = {"method": "neighbours", **alone["predictor"]["neighbours"]}
    with pytest.raises(ConfigurationError, match="a part of `blend`; run `session-router fit` again"):
        read_scorer_file(at(tmp_path / "scorer.json", of_version(2, alone)))


@pytest.mark.parametrize("part", ["line", "neighbours"])
def test_a_blend_of_one_part_is_none(part: str, tmp_path: Path) -> None:
    content = json.loads(scorer_text(FITS[Method.BLEND]))["content"]
    del content["predictor"][part]
    with pytest.raises(ConfigurationError, match="not the shape of a scorer"):
        read_scorer_file(at(tmp_path / "scorer.json", sealed(content, key=None)))


def test_a_certificate_is_given_where_it_holds_and_nowhere_else() -> None:
    certificate = Certificate(reference=ModelName("strong"), least_chance=0.7, under_served=1, segments=100, bound=0.05, delta=0.05)
    model = replace(FITS[Method.LOGISTIC].models[0], certificate=certificate)
    assert model.need(0.7).certificate == certificate
    assert model.need(0.699999).certificate is None
