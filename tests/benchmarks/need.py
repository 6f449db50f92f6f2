"""How well need is known, and what that is worth: ours beside the rules and classifiers that others route by, on the same folds.

Usage: `python tests/benchmarks/need.py [--quick] [--only PART ...] [--html PATH]`; `--quick` takes samples and fewer splits, and leaves
the transformer out.

Each figure has a 95 % interval: by drawing groups of questions anew, or exact where shares are counted. What is said to be ours is the
library's default way of fitting.
"""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
# The matrices are small. Threads that wait for one another take longer than the work, where others work on the same cores.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from benchmarks._figure import SHARED, missing, say
from benchmarks._need_certified import print_refusals
from benchmarks._need_discrimination import Told, cross_fitted, lead_of, print_discrimination
from benchmarks._need_families import Family, families
from benchmarks._need_frontier import print_frontier
from benchmarks._need_gate import print_gate, print_violations
from benchmarks._need_minilm import MiniLM
from benchmarks._need_page import page
from benchmarks._need_peers import LENGTH, OURS, TFIDF, everyone
from benchmarks._need_transfer import print_transfers

if TYPE_CHECKING:
    from collections.abc import Callable

STAKES: Final = (0.2, 0.5, 1.0)
SPLITS, FITS = 200, 10
QUICK_SPLITS, QUICK_FITS = 20, 2
QUICK_TASKS: Final = 60
QUICK_PAIRS: Final = 6


@dataclass(frozen=True, kw_only=True)
class Run:
    """One run. What several parts need is made once.

    Attributes:
        quick: Whether samples are enough.
        html: Where the frontiers are drawn; `None` for nowhere.
    """

    quick: bool
    html: Path | None

    @cached_property
    def encoder(self) -> MiniLM | None:
        """The transformer, or none."""
        return None if self.quick else MiniLM()

    @cached_property
    def families(self) -> list[Family]:
        """Outcomes of both models."""
        return families(SHARED / "data", quick=self.quick)

    @cached_property
    def told(self) -> list[Told]:
        """What everyone says of every question."""
        encoder = self.encoder
        if encoder is None:
            say("a quick run: without the transformer, on samples of the large families")
            return [cross_fitted(one, everyone(encoder=False)) for one in self.families]
        encoded = [replace(one, encoded=encoder.vectors(one.texts)) for one in self.families]
        return [cross_fitted(one, everyone(encoder=True)) for one in encoded]

    @cached_property
    def compared(self) -> list[Told]:
        """What ours and TF-IDF say of every question; the same as they say among everyone."""
        if "told" in self.__dict__:
            return self.told
        ways = everyone(encoder=False)
        return [cross_fitted(one, {name: ways[name] for name in (OURS, TFIDF)}) for one in self.families]


def discrimination(run: Run) -> None:
    """Questions like those that were fitted to."""
    print_discrimination(run.told)


def frontier(run: Run) -> None:
    """Dollars against accuracy."""
    print_frontier(run.told)
    if run.html is not None:
        run.html.write_text(page(run.told), encoding="utf-8")
        say(f"wrote {run.html}")


def transfer(run: Run) -> None:
    """Questions of another kind."""
    ways = everyone(encoder=False)
    if run.quick:
        ways = {name: ways[name] for name in (OURS, LENGTH, TFIDF)}
    print_transfers(run.families, ways, splits=QUICK_SPLITS if run.quick else SPLITS)


def gate(run: Run) -> None:
    """The risk gate."""
    splits, fits = (QUICK_SPLITS, QUICK_FITS) if run.quick else (SPLITS, FITS)
    gated = {family.name: print_gate(family, splits=splits, fits=fits) for family in run.families}
    print_violations(gated)
    leads = {told.family.name: lead_of(told) for told in run.compared}
    print_refusals("not_above_tfidf", {name: gated[name].let for name, lead in leads.items() if lead.ahead <= 0})
    # There the lead may be luck.
    print_refusals("not_told_apart_from_tfidf", {name: gated[name].let for name, lead in leads.items() if lead.apart.low <= 0})


def embedder(run: Run) -> None:
    """The built-in embedder."""
    from benchmarks._need_embedder import print_embedder

    print_embedder(run.encoder, every=QUICK_PAIRS if run.quick else 1)


def attacks(run: Run) -> None:
    """Text that forces upgrades."""
    from benchmarks._need_forced import print_forced
    from benchmarks._need_watch import upgrade_watch_figures

    if run.quick:
        print_forced(prompts=20, queries=20, clean=400, limits_on=1_000, fitted=2_500)
        upgrade_watch_figures(sessions=20)
    else:
        print_forced()
        upgrade_watch_figures()


def sessions(run: Run) -> None:
    """Recorded sessions, end to end."""
    from benchmarks._need_sessions import print_sessions
    from benchmarks._regret_sources import sources

    found = sources(SHARED / "data")
    if run.quick:
        # Every task of MINT was done by many models.
        found = [one.sampled(QUICK_TASKS // 3 if one.name == "mint" else QUICK_TASKS) for one in found]
    print_sessions(found, STAKES[:1] if run.quick else STAKES)


PARTS: Final[dict[str, Callable[[Run], None]]] = {
    part.__name__: part for part in (discrimination, frontier, transfer, gate, embedder, attacks, sessions)
}


def main() -> None:
    """Print tables and figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="samples, fewer splits, no transformer")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--html", type=Path, help="draw the frontiers into one file of HTML that needs nothing else")
    given = parser.parse_args()
    # Nothing is fetched: what is not here is not looked for.
    os.environ["HF_HUB_OFFLINE"] = "1"
    run = Run(quick=given.quick, html=given.html)
    try:
        for part in given.only:
            PARTS[part](run)
    except FileNotFoundError as error:
        missing(list(given.only), f"recorded data is not there: {error.filename}")


if __name__ == "__main__":
    main()
