"""Pictures for the documentation: `PYTHONPATH=tools python -m trace_demo.pictures DIRECTORY`, or `make pictures`.

Needs chromium and prometheus of the system, and playwright in Phoenix' environment.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import tempfile
import time
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Final

from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import MeterProvider
from prometheus_client import start_http_server

from session_router.testing.providers import Fault, serve
from session_router_demo.demo import play_simulated
from session_router_demo.models import simulated_models
from session_router_demo.sessions import DemoSession
from session_router_demo.summary import ROUTER
from session_router_otel import instrument
from trace_demo.__main__ import PROJECT, Silent, pages, play
from trace_demo.server import PHOENIX, asked, free_port, phoenix

if TYPE_CHECKING:
    from collections.abc import Iterator

    from session_router import Router
    from session_router.testing.providers import ServedProviders

SESSION: Final = "order-and-fault"
FAILING: Final = "hours"
TURN: Final = 2
"""The turn in which it leaves its model, for a tool loop."""
DRAWER: Final = "[role=dialog]"
"""Where Phoenix shows one session, or one trace."""
ROUNDS: Final = 5
SECONDS_BETWEEN: Final = 20.0


class Overloading(Silent):
    """Lets the first call of a session that another model can answer as well find its provider overloaded."""

    def __init__(self, served: ServedProviders) -> None:
        self._served = served

    def on_session(self, session: object, number: int) -> None:
        """See a session begin."""
        del number
        if isinstance(session, DemoSession) and session.id == FAILING:
            self._served.faults.next(Fault.overloaded())


def photograph(url: str, to: Path, *, width: int, height: int, text: str, part: str) -> None:
    """Open `url` in a headless browser, and keep `part` of it once `text` stands there."""
    script = Path(__file__).with_name("photograph.py")
    command = [str(PHOENIX.with_name("python")), str(script), url, str(to), str(width), str(height), text, part]
    subprocess.run(command, check=True, timeout=400)  # noqa: S603 -- ours


def switch_page(address: str) -> str:
    """Return the address of the page that shows the decision to switch in `TURN`."""
    project = next(one["id"] for one in asked(f"{address}/v1/projects")["data"] if one["name"] == PROJECT)
    for span in asked(f"{address}/v1/projects/{project}/spans?limit=500&attribute=session.id:{SESSION}")["data"]:
        told = span["attributes"]
        if (told.get("session_router.decision"), told.get("session_router.turn.index")) == ("switch", TURN):
            return f"{address}/projects/{project}/traces/{span['context']['trace_id']}?selectedSpanNodeId={span['id']}"
    message = f"no switch in turn {TURN} of {SESSION}: choose another"
    raise LookupError(message)


@contextmanager
def prometheus(home: Path, target: int) -> Iterator[str]:
    """Run a Prometheus that scrapes `target` and serves our console page."""
    consoles = home / "consoles"
    consoles.mkdir()
    page = files("session_router_otel") / "dashboards" / "prometheus-console.html"
    (consoles / "session-router.html").write_text(page.read_text(encoding="utf-8"), encoding="utf-8")
    jobs = [{"job_name": "demo", "static_configs": [{"targets": [f"127.0.0.1:{target}"]}]}]
    (home / "prometheus.yml").write_text(json.dumps({"global": {"scrape_interval": "1s"}, "scrape_configs": jobs}), encoding="utf-8")
    address = f"127.0.0.1:{free_port()}"
    process = subprocess.Popen(  # noqa: S603 -- the system's own
        [
            shutil.which("prometheus") or "prometheus",
            f"--config.file={home}/prometheus.yml",
            f"--storage.tsdb.path={home}/data",
            f"--web.listen-address={address}",
            f"--web.console.templates={consoles}",
            "--log.level=error",
        ]
    )
    try:
        yield f"http://{address}"
    finally:
        process.terminate()
        process.wait(20)


def main() -> None:
    """Take the pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=Path)
    directory: Path = parser.parse_args().directory
    with tempfile.TemporaryDirectory() as home, phoenix(Path(home)) as address:
        play(address)
        page = pages(address)[SESSION]
        photograph(page, directory / "phoenix-session.png", width=1_440, height=960, text="opening hours", part=DRAWER)
        page = switch_page(address)
        photograph(page, directory / "phoenix-decision.png", width=1_440, height=1_260, text="session_router.cost.saved", part=DRAWER)
    meters = MeterProvider(metric_readers=[PrometheusMetricReader()])
    server, _ = start_http_server(0, addr="127.0.0.1")

    def watch(router: Router, served: ServedProviders) -> Silent:
        instrument(router, meter_provider=meters, agent_spans=False)
        return Overloading(served)

    with tempfile.TemporaryDirectory() as home, prometheus(Path(home), server.server_port) as address:
        # One server for all rounds: its address is a label of the metrics.
        with serve(simulated_models()) as served:
            for _ in range(ROUNDS):
                play_simulated(ROUTER, lambda router: watch(router, served), served=served)
                time.sleep(SECONDS_BETWEEN)
        url = f"{address}/consoles/session-router.html"
        photograph(url, directory / "prometheus-console.png", width=1_400, height=1_000, text="Tokens by model", part="html")
    server.shutdown()


if __name__ == "__main__":
    main()
