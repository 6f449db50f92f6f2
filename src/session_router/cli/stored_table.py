"""What a cache would have done to recorded sessions, and what its certificates say, as tables."""

from __future__ import annotations

from math import exp
from typing import TYPE_CHECKING

from rich.table import Table

from session_router.cli.terminal import escaped
from session_router.cli.words import share
from session_router.core.cached import Tier
from session_router.core.wager import SCORE_EDGES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import Console

    from session_router.core.wager import Stratum, Wager
    from session_router.replay import StoredAnswers

TIERS: Mapping[Tier, str] = {
    Tier.EXACT: "the same text",
    Tier.CONTENT: "the same content words",
    Tier.SIMILAR: "similar, and certified",
}


def print_stored(console: Console, stored: StoredAnswers, *, counted: bool = False) -> None:
    """Print which recorded calls a cache would have answered.

    Args:
        console: Where.
        stored: What was shown to it.
        counted: Whether the configured cache counts the audits.
    """
    stored.cache.drain()
    counts = stored.counts
    table = Table(title="What the cache would have done", title_justify="left", show_header=False)
    table.add_column("what")
    table.add_column("count", justify="right")
    table.add_column("share", justify="right")
    table.add_row("calls at which it would be asked", f"{counts.calls:,}", "")
    table.add_row("of these, hits", f"{counts.all_hits:,}", share(counts.all_hits, counts.calls))
    for tier, words in TIERS.items():
        if hits := counts.hits[tier.value]:
            table.add_row(f"  {words}", f"{hits:,}", share(hits, counts.calls))
    judged = counts.right + counts.wrong
    table.add_row("of the hits, wrong", f"{counts.wrong:,}", share(counts.wrong, judged))
    table.add_row("of the hits, right", f"{counts.right:,}", share(counts.right, judged))
    table.add_row("of the hits, not judged", f"{counts.all_hits - judged:,}", share(counts.all_hits - judged, counts.all_hits))
    table.add_row("US dollars of the hits, estimated", f"{counts.saved:,.4f}", "")
    console.print(table)
    strata = stored.cache.strata()
    if strata:
        console.print(certificates(strata))
    for line in (
        "Recordings name no users: all of them are taken for one. System prompts are compared, sampling settings are not known.",
        "A hit is judged where both answers are short enough to be compared word by word; shares are of the judged ones.",
        "Hits are counted against the recorded answers. Nothing was sent, and the configured cache "
        + ("has counted the audits." if counted else "was not touched."),
    ):
        console.print(f"[dim]{line}[/]")


def certificates(strata: Mapping[Stratum, Wager]) -> Table:
    """Return what the audits of similar questions have shown, a stratum a row."""
    table = Table(title="Similar questions, by stratum", title_justify="left")
    table.add_column("category")
    for column in ("score from", "audits", "of entries", "wrong", "evidence", "needed"):
        table.add_column(column, justify="right")
    table.add_column("state")
    for stratum, wager in sorted(strata.items(), key=lambda item: (item[0].category, item[0].verifier, item[0].score_bin)):
        numbers = [f"{wager.audits:,}", f"{wager.entries:,}", f"{wager.wrong:,.4g}", f"{exp(min(wager.evidence, 99.0)):,.3g}"]
        state = "closed: too many were wrong" if wager.closed else "certified" if wager.certified else "watched"
        table.add_row(
            escaped(stratum.category), f"{SCORE_EDGES[stratum.score_bin]:.3f}", *numbers, f"{exp(min(wager.needed, 99.0)):,.3g}", state
        )
    return table
