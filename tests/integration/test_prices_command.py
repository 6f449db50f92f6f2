"""`session-router prices`."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING

import pytest

from support.pages import ROOT, run_command

if TYPE_CHECKING:
    from pathlib import Path

LIST = {
    "small-1": {"litellm_provider": "openai", "input_cost_per_token": 3e-07, "output_cost_per_token": 2.4e-06},
    "wide-2": {
        "litellm_provider": "openai",
        "input_cost_per_token": 1.25e-06,
        "output_cost_per_token": 1e-05,
        "cache_read_input_token_cost": 1.25e-07,
        "cache_creation_input_token_cost": 1.5625e-06,
        "input_cost_per_token_above_200k_tokens": 2.5e-06,
    },
}
CONFIG = """
price_file = "prices.json"
[models]
fast = "openai:small-1"
"wide[bold]" = "openai:wide-2"
[models.own]
model = "openai:x"
prices = {input = 1, output = 2}
prompt_cache = {capacity_tokens = 600000, tokens_per_second = 1500}
[models.cold]
model = "openai:y"
prices = {input = 1000, output = 0.0001}
prompt_cache = {seconds_to_live = 0}
"""


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("COLUMNS", "200")
    (tmp_path / "prices.json").write_text(json.dumps(LIST), encoding="utf-8")
    path = tmp_path / "router.toml"
    path.write_text(CONFIG, encoding="utf-8")
    return path


def cells(output: str, model: str) -> list[str]:
    line = next(line for line in output.splitlines() if line.startswith("│") and line.split("│")[1].strip() == model)
    return [cell.strip() for cell in line.split("│")[1:-1]]


def test_it_shows_every_price_and_where_it_comes_from(config: Path) -> None:
    code, output = run_command(shlex.join(["session-router", "prices", "--config", str(config)]))
    assert code == 0
    assert cells(output, "fast") == ["fast", "0.3", "0.3", "0.3", "2.4", "300 s, from 1,024 tokens", "small-1 in the price list"]
    assert cells(output, "wide[bold]")[1:5] == ["1.25", "0.125", "1.5625", "10"]
    assert cells(output, "own")[1:6] == ["1", "1", "1", "2", "400 s, in blocks of 16"]
    assert cells(output, "cold")[1:6] == ["1,000", "1,000", "1,000", "0.0001", "none"]
    assert f"price list: {config.parent / 'prices.json'}" in output
    assert "wide[bold]: requests above 200,000 tokens cost more" in output
    assert "fast: requests above" not in output


def test_a_configuration_without_a_price_list_names_itself() -> None:
    path = ROOT / "examples" / "router.yaml"
    code, output = run_command(shlex.join(["session-router", "prices", "--config", str(path)]))
    assert code == 0
    assert "price list" not in output
    assert cells(output, "strong")[:5] == ["strong", "3", "0.3", "3.75", "15"]


def test_a_name_of_no_model_is_told_and_nothing_is_shown(config: Path) -> None:
    config.write_text(f'{CONFIG}\n[policy]\ndefault = "fsat"\n', encoding="utf-8")
    code, output = run_command(shlex.join(["session-router", "prices", "--config", str(config)]))
    assert code == 2
    assert f"{config}: `policy.default` is 'fsat'" in output
    assert "│" not in output


def test_an_unknown_price_is_told_and_nothing_is_shown(config: Path) -> None:
    config.write_text(CONFIG.replace("openai:small-1", "openai:smal-1"), encoding="utf-8")
    code, output = run_command(shlex.join(["session-router", "prices", "--config", str(config)]))
    assert code == 2
    assert f"{config}: `models.fast.model` is 'openai:smal-1'" in output
    assert "near it are 'small-1'" in output
    assert "│" not in output
