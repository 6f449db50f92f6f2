"""Play the demo's sessions into a Phoenix and print where to look: `PYTHONPATH=tools python -m trace_demo [--once]`."""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from session_router_demo.demo import play_simulated
from session_router_demo.sessions import SESSIONS
from session_router_demo.summary import ROUTER
from session_router_otel import exporting, instrument, uninstrument
from session_router_otel.conventions import CAPTURE_CONTENT
from trace_demo.server import asked, phoenix

if TYPE_CHECKING:
    from collections.abc import Sequence

    from session_router import Router

PROJECT: Final = "session-router demo"
SECONDS_TO_ARRIVE: Final = 60.0


class Silent:
    """Hears the demo, and says nothing."""

    def on_session(self, session: object, number: int) -> None:
        """Nothing to say."""

    def on_turn(self, session: object, typed: object, number: int) -> None:
        """Nothing to say."""

    def on_row(self, row: object) -> None:
        """Nothing to say."""

    def on_approval(self, tools: Sequence[str], seconds: float) -> None:
        """Nothing to say."""

    def on_lost(self, typed: object, error: Exception) -> None:
        """Nothing to say."""


def play(address: str) -> None:
    """Play the demo, with its words: they are invented."""
    os.environ[CAPTURE_CONTENT] = "span_only"
    providers = exporting(address, service="demo", resource={"openinference.project.name": PROJECT}, with_metrics=False)
    routers: list[Router] = []

    def watch(router: Router) -> Silent:
        instrument(router, tracer_provider=providers.tracers)
        routers.append(router)
        return Silent()

    play_simulated(ROUTER, watch)
    for router in routers:
        uninstrument(router)
    providers.shutdown()


def pages(address: str) -> dict[str, str]:
    """Return the address of each session's page, by session, once they are all there."""
    deadline = time.monotonic() + SECONDS_TO_ARRIVE
    found: dict[str, str] = {}
    while len(found) < len(SESSIONS) and time.monotonic() < deadline:
        for project in asked(f"{address}/v1/projects")["data"]:
            if project["name"] == PROJECT:
                at = f"{address}/projects/{project['id']}/sessions"
                sessions = asked(f"{address}/v1/projects/{project['id']}/sessions")["data"]
                found = {one["session_id"]: f"{at}/{one['id']}" for one in sessions}
        time.sleep(0.5)
    return found


def main() -> None:
    """Start, play, tell, and stay until interrupted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--once", action="store_true", help="end when the sessions are there")
    parser.add_argument("--port", type=int, default=6006, help="of Phoenix; 0 for a free one")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="phoenix-") as home, phoenix(Path(home), port=options.port or None) as address:
        play(address)
        for name, page in sorted(pages(address).items()):
            print(f"{name:<18} {page}")  # noqa: T201 -- a command's output
        if options.once:
            return
        print("Phoenix runs until you press Ctrl-C.", flush=True)  # noqa: T201 -- as above
        with suppress(KeyboardInterrupt):
            while True:
                time.sleep(3_600)


if __name__ == "__main__":
    main()
