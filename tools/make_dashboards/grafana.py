"""The questions as a Grafana dashboard, by Grafana's own typed builders."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from grafana_foundation_sdk.builders.common import VizLegendOptions
from grafana_foundation_sdk.builders.dashboard import Dashboard, DatasourceVariable
from grafana_foundation_sdk.builders.prometheus import Dataquery
from grafana_foundation_sdk.builders.timeseries import Panel as TimeSeries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import LegendDisplayMode, LegendPlacement
from grafana_foundation_sdk.models.dashboard import DataSourceRef

if TYPE_CHECKING:
    from make_dashboards.questions import Panel, Query

DATASOURCE: Final = "${datasource}"
UID: Final = "session-router"
GONE: Final = {"id", "auto", "auto_count", "auto_min"}
"""What the builders, made for Grafana 10, say of a variable, and Grafana 13 does not know; it needs none of it."""


def grafana(panels: tuple[Panel, ...]) -> str:
    """Return the dashboard as JSON, for import: it asks for a Prometheus data source."""
    board = (
        Dashboard("session-router")
        .uid(UID)
        .tags(["session-router", "llm"])
        .refresh("30s")
        .time("now-3h", "now")
        .with_variable(DatasourceVariable("datasource").label("Prometheus").type("prometheus"))
    )
    for panel in panels:
        board = board.with_panel(_panel(panel))
    made = json.loads(JSONEncoder().encode(board.build()))
    made["templating"]["list"] = [{key: value for key, value in one.items() if key not in GONE} for one in made["templating"]["list"]]
    del made["style"]
    return json.dumps(made, sort_keys=True, indent=2) + "\n"


def _panel(panel: Panel) -> TimeSeries:
    source = DataSourceRef(type_val="prometheus", uid=DATASOURCE)
    legend = (
        VizLegendOptions().show_legend(show_legend=True).display_mode(LegendDisplayMode.LIST).placement(LegendPlacement.BOTTOM).calcs([])
    )
    made = TimeSeries().title(panel.title).description(panel.about).unit(panel.unit).datasource(source).legend(legend).height(8).span(12)
    for number, query in enumerate(panel.queries):
        target = Dataquery().expr(query.expression).legend_format(_legend(query)).ref_id(chr(ord("A") + number)).datasource(source)
        made = made.with_target(target)
    return made


def _legend(query: Query) -> str:
    return " ".join([*([query.name] if query.name else []), *(f"{{{{{label}}}}}" for label in query.legend)])
