"""Write the dashboards: `PYTHONPATH=tools python -m make_dashboards`."""

from __future__ import annotations

from pathlib import Path

from make_dashboards.console import console
from make_dashboards.grafana import grafana
from make_dashboards.questions import PANELS

HOME = Path(__file__).resolve().parents[2] / "integrations" / "session_router_otel" / "dashboards"

if __name__ == "__main__":
    (HOME / "grafana.json").write_text(grafana(PANELS), encoding="utf-8")
    (HOME / "prometheus-console.html").write_text(console(PANELS), encoding="utf-8")
