"""What is written lies in a file of its own: two settings that name one file are refused before anything is opened."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from session_router.config import load_cache, load_governance, load_router, load_settings, load_store
from session_router.errors import ConfigurationError, ConfigurationErrors

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MODELS = '[models.fast]\nmodel = "openai:small"\nprices = {input = 0.25, output = 2}\n'


@pytest.fixture
def given(write: Callable[[str], Path]) -> Callable[..., Path]:
    """Writes a configuration with these files in it."""
    return lambda **files: write("".join(f"{key.replace('_', '.')} = {path!r}\n" for key, path in files.items()) + MODELS)


def refused(path: Path, load: Any = load_settings, **environment: str) -> ConfigurationError:
    with pytest.raises(ConfigurationError) as caught:
        load(path, environment=environment)
    return caught.value


@pytest.mark.parametrize("load", [load_settings, load_router, load_cache, load_store, load_governance])
def test_two_settings_cannot_name_one_file(given: Callable[..., Path], tmp_path: Path, load: Any) -> None:
    path = given(store_path="one.db", cache_path="one.db")
    error = refused(path, load)
    assert (error.key, error.value, error.source) == ("cache.path", "one.db", str(path))
    assert "`store.path`" in error.rule
    assert [one.name for one in tmp_path.iterdir()] == ["router.toml"]


@pytest.mark.parametrize("is_there", [False, True])
@pytest.mark.parametrize("other", ["{folder}/one.db", "./one.db", "inner/../one.db", "link/one.db", "~/one.db"])
def test_whichever_way_it_is_spelt(
    given: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, other: str, is_there: bool
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "inner").mkdir()
    (tmp_path / "link").symlink_to(tmp_path)
    if is_there:
        (tmp_path / "one.db").touch()
    assert refused(given(store_path="one.db", cache_path=other.format(folder=tmp_path))).key == "cache.path"


def test_a_link_to_the_file_is_the_file(given: Callable[..., Path], tmp_path: Path) -> None:
    (tmp_path / "soft.db").symlink_to("one.db")
    assert refused(given(store_path="one.db", cache_path="soft.db")).key == "cache.path"
    (tmp_path / "one.db").touch()
    (tmp_path / "hard.db").hardlink_to(tmp_path / "one.db")
    assert refused(given(store_path="one.db", cache_path="hard.db")).key == "cache.path"


def test_a_configuration_that_is_named_relative_to_here(
    given: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = given(store_path="one.db", cache_path=str(tmp_path / "one.db"))
    monkeypatch.chdir(tmp_path)
    assert refused(path.relative_to(tmp_path)).key == "cache.path"


def test_the_one_that_states_it_is_named(given: Callable[..., Path]) -> None:
    error = refused(given(store_path="one.db"), SESSION_ROUTER__CACHE__PATH="one.db")
    assert (error.key, error.source) == ("cache.path", "environment variable SESSION_ROUTER__CACHE__PATH")


def test_the_log_and_its_head_are_files_as_well(given: Callable[..., Path]) -> None:
    assert refused(given(store_path="one", audit_path="one")).key == "audit.path"
    assert refused(given(audit_path="one", audit_head="one")).key == "audit.head"
    errors = refused(given(store_path="one", cache_path="one", audit_path="one"))
    assert isinstance(errors, ConfigurationErrors)
    assert [error.key for error in errors.errors] == ["cache.path", "audit.path"]


def test_files_of_their_own_are_fine(given: Callable[..., Path]) -> None:
    load_settings(given(store_path="a", cache_path="b", audit_path="c", audit_head="d"), environment={})


@pytest.mark.parametrize("odd", ["null\u0000", "loop", "x" * 5_000, "~nobody-of-this-name/one"])
def test_what_cannot_be_looked_up_is_told_of_by_who_opens_it(given: Callable[..., Path], tmp_path: Path, odd: str) -> None:
    (tmp_path / "loop").symlink_to("loop")
    load_settings(given(store_path="one.db", cache_path=odd), environment={})
