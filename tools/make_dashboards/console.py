"""The questions as a console page that Prometheus itself serves; nothing on it comes from anywhere else."""

from __future__ import annotations

import html
import json
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from make_dashboards.questions import Panel, Query

FRAME: Final = Path(__file__).with_name("console.html")
_SHOWN: Final = {
    "percentunit": "{{ . | value | humanizePercentage }}",
    "currencyUSD": '${{ . | value | printf "%.4f" }}',
    "s": "{{ . | value | humanizeDuration }}",
    "short": '{{ . | value | printf "%.1f" }}',
}


def console(panels: tuple[Panel, ...]) -> str:
    """Return the page: a template of Prometheus' own language."""
    return FRAME.read_text(encoding="utf-8").replace("[[panels]]", "\n".join(map(_section, panels)))


def _section(panel: Panel) -> str:
    queries = html.escape(json.dumps([query.expression for query in panel.queries]))
    rows = "\n".join(_rows(query, _SHOWN[panel.unit]) for query in panel.queries)
    title, about = html.escape(panel.title), html.escape(panel.about)
    return f'<section data-queries="{queries}">\n<h2>{title}</h2>\n<p>{about}</p>\n<table>\n{rows}\n</table>\n</section>'


def _rows(query: Query, shown: str) -> str:
    labels = " ".join(f'{{{{ . | label "{label}" }}}}' for label in query.legend)
    name = " ".join(part for part in (html.escape(query.name), labels) if part)
    return f"{{{{ range query {json.dumps(query.expression)} }}}}<tr><td><i></i>{name}</td><td>{shown}</td></tr>\n{{{{ end }}}}"
