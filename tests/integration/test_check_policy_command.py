"""`session-router check-policy`."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING

import pytest

from support.pages import run_command

if TYPE_CHECKING:
    from pathlib import Path

CONFIG = """
[policy.tools."read[it]"]
level = "confidential"
categories = ["phi"]
[models.own]
model = "openai:never-built"
prices = {input = 1.0, output = 4.0}
[models.own.clearance]
max_level = "restricted"
categories = ["phi"]
processing_regions = ["eu"]
[models.care]
model = "openai:never-built"
prices = {input = 1.0, output = 4.0}
[models.care.clearance]
purposes = ["care"]
"""


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("COLUMNS", "200")
    path = tmp_path / "router.toml"
    path.write_text(CONFIG, encoding="utf-8")
    return path


def command(*words: object) -> tuple[int, str]:
    return run_command(shlex.join(["session-router", "check-policy", *map(str, words)]))


def test_it_prints_a_matrix(config: Path) -> None:
    code, output = command(config)
    assert code == 0, output
    cells = {row.split("│")[1].strip(): [cell.strip() for cell in row.split("│")[2:-1]] for row in output.splitlines() if row[:1] == "│"}
    assert cells["public"] == ["yes", "for care"]
    assert cells["tool read[it]"] == ["yes", "no: level confidential is above its public"]
    assert cells["only eu"][1].startswith("no: processes in none")
    assert "Every model can be used" in output


def test_the_configuration_is_named_as_for_every_command(config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = command(config)
    assert command("--config", config) == expected
    monkeypatch.setenv("SESSION_ROUTER_CONFIG", str(config))
    assert command() == expected
    monkeypatch.setenv("SESSION_ROUTER_CONFIG", str(tmp_path / "another.toml"))
    assert command(config) == expected
    monkeypatch.delenv("SESSION_ROUTER_CONFIG")
    code, output = command()
    assert code == 2
    assert "`SESSION_ROUTER_CONFIG` has no value; name a configuration file in this variable, or give its path" in output
    assert "`--config`" in output


def test_a_moment_may_name_its_time_zone(config: Path) -> None:
    config.write_text(CONFIG.replace("[models.care.clearance]", "[models.care.clearance]\nattested_until = 2026-01-01T05:00:00Z"))
    before, after = "2026-01-01T04:00:00", "2026-01-01T09:00:00"
    assert command(config, "--at", before) != command(config, "--at", after)
    assert command(config, "--at", "2026-01-01T13:00:00+0900") == command(config, "--at", before)
    assert command(config, "--at", "2026-01-01T00:00:00-0900") == command(config, "--at", after)


def test_it_prints_json(config: Path) -> None:
    code, output = command(config, "--json")
    assert code == 0
    found = json.loads(output)
    assert {label["name"] for label in found["labels"] if label["declared"]} == {"read[it]"}
    assert found["models"]["own"]["categories"] == ["phi"]


def test_what_is_wrong_is_told(config: Path) -> None:
    config.write_text(CONFIG.replace('["phi"]\n[models', '["secret"]\n[models') + 'attested_until = "2020-01-01"\n', encoding="utf-8")
    code, output = command(config)
    assert code == 1
    assert "care may see nothing: its attestation has expired." in output
    assert "tool read[it] can go nowhere." in output
    code, output = command(config, "--at", "2019-01-01")
    assert code == 1
    assert "attestation" not in output


def test_without_clearances_it_says_so(config: Path) -> None:
    config.write_text('[models.fast]\nmodel = "openai:never-built"\nprices = {input = 1.0, output = 4.0}\n', encoding="utf-8")
    code, output = command(config)
    assert (code, output.strip()) == (0, "No model has a clearance and no label is declared: nobody asks who may see what.")


def test_it_says_so_where_what_nobody_labelled_is_refused(config: Path) -> None:
    told = "What nobody labelled can go nowhere, and nothing says what comes from system, human, ai, tool, schemas, provider: "
    code, output = command(config)
    assert code == 0
    assert told in output
    assert "[policy.sources.NAME]" in output
    config.write_text(CONFIG + '[policy.sources.human]\nlevel = "public"\n', encoding="utf-8")
    assert told.replace("human, ", "") in command(config)[1]
    config.write_text('[policy]\nunlabelled = "public"\n' + CONFIG, encoding="utf-8")
    assert "What nobody labelled" not in command(config)[1]
    sources = "".join(f'[policy.sources.{name}]\nlevel = "public"\n' for name in ("system", "human", "ai", "tool", "schemas", "provider"))
    config.write_text(CONFIG + sources, encoding="utf-8")
    assert "What nobody labelled" not in command(config)[1]


def test_a_wrong_configuration_is_told(config: Path) -> None:
    config.write_text(CONFIG + "[policy.sources.elsewhere]\n", encoding="utf-8")
    code, output = command(config)
    assert code == 2
    assert "policy.sources.elsewhere" in output


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ('policy.default = "onw"', "`policy.default` is 'onw'; there is no model of this name; did you mean `own`?"),
        ('[cache]\njudge = "onw"', "`cache.judge` is 'onw'; there is no model of this name; did you mean `own`?"),
        ("[models.free]\nmodel = 'openai:x'\nclearance = {max_level = 'restricted'}", "`models.free.prices`"),
        ('price_file = "no-such-file.json"', "`price_file`"),
        ('[store]\nkind = "sqlite"', "`store.path` has no value"),
        ('[store]\nkind = "redis"', "`store.url` has no value"),
        ('[cache]\nkind = "sqlite"', "`cache.path` has no value"),
        ('[cache]\nkind = "redis"', "`cache.url` has no value"),
        ('[audit]\nhead = "head"', "`audit.path` has no value"),
        ('key = "0123"', "key"),
    ],
)
def test_what_is_wrong_elsewhere_is_told_behind_the_matrix(config: Path, setting: str, told: str) -> None:
    text = config.read_text(encoding="utf-8")
    config.write_text(f"{text}\n{setting}\n" if setting.startswith("[") else f"{setting}\n{text}", encoding="utf-8")
    code, output = command(config)
    assert code == 2
    assert "Every model can be used" in output
    assert told in " ".join(output.split())
    code, output = command(config, "--json")
    assert code == 2
    assert told in " ".join(output.split())


def test_all_that_is_wrong_is_told_at_once_and_nothing_is_made(config: Path) -> None:
    text = config.read_text(encoding="utf-8")
    config.write_text(f'policy.default = "none"\n{text}\n[store]\npath = "sessions.db"\n[audit]\nhead = "head"\n', encoding="utf-8")
    code, output = command(config)
    assert code == 2
    assert "policy.default" in output
    assert "audit.path" in output
    assert [path.name for path in config.parent.iterdir()] == ["router.toml"]
