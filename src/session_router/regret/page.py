"""The report as one page of HTML: no script, nothing from the network, legible on paper."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from session_router.errors import MissingExtra
from session_router.regret import frontier_chart as frontier
from session_router.regret import timeline_chart as timeline
from session_router.regret import written
from session_router.regret.routings import ROUTER

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jinja2 import Template

UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML does not allow or advise: control characters, and halves of surrogate pairs, which no encoding can write."""

COLOURS = 7
"""Colours for models; further models begin anew."""

MOST_SOURCES_IN_TITLE = 3


def render(report: Mapping[str, Any]) -> str:
    """Write a report as a page of HTML. The same report gives the same page.

    Args:
        report: `Report.to_plain()`. Its names come from recordings and are taken for hostile.

    Returns:
        A whole document, to be encoded as UTF-8.

    Raises:
        MissingExtra: `jinja2` is not installed.
    """
    total = report["total"]
    page = _template().render(
        report=report,
        total=total,
        title=_title(report),
        router=total["routings"].get(ROUTER),
        fair=_fair,
        all_fair=all(_fair(bill) for bill in total["routings"].values()),
        best=_best,
        unsafe=sum(bill["unsafe_switches"] for bill in total["routings"].values()),
        places=written.places_of(total["optimum"]["total"], digits=4),
        colours=COLOURS,
        frontier=frontier,
        frontier_chart=frontier.frontier_chart(total, stake=report["stake"]) if total["calls"] else "",
        timeline=timeline,
        timeline_chart=timeline.timeline_chart(report),
    )
    return UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", page)


@cache
def _template() -> Template:
    try:
        from jinja2 import Environment, StrictUndefined
    except ImportError:
        raise MissingExtra(extra="cli", package="jinja2", feature="the page of a report") from None
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {
        "dollars": written.dollars,
        "percent": written.percent,
        "count": written.count,
        "short": written.shortened,
        "pixels": lambda value: f"{value:.1f}",
        "tick": lambda value: f"{value:.10f}".rstrip("0").rstrip("."),
    }
    return environment.from_string(files("session_router.regret").joinpath("page.html").read_text(encoding="utf-8"))


def _title(report: Mapping[str, Any]) -> str:
    names = [written.shortened(one["source"], 60) or "(no source)" for one in report["sources"]]
    further = len(names) - MOST_SOURCES_IN_TITLE
    return ", ".join(names[:MOST_SOURCES_IN_TITLE]) + (f" and {further} more" if further > 0 else "")


def _fair(bill: Mapping[str, Any]) -> bool:
    """Whether a routing breaks no lock and serves every call."""
    return not bill["unsafe_switches"] and not bill["impossible"]


def _best(routings: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Name the fair routings with the least total; more than one where they tie."""
    totals = {name: bill["total"] for name, bill in routings.items() if _fair(bill)}
    return [name for name, total in totals.items() if total <= min(totals.values()) * (1 + 1e-9)]
