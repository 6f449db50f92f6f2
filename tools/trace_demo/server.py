"""A Phoenix of its own: embedded SQLite, loopback only, nothing from the network."""

from __future__ import annotations

import os
import socket
import subprocess
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

PROGRAM: Final = Path(__file__).resolve().parents[2] / ".venv-phoenix" / "bin" / "phoenix"
SECONDS_TO_START: Final = 180.0
QUIET: Final = {
    "PHOENIX_HOST": "127.0.0.1",
    "PHOENIX_TELEMETRY_ENABLED": "false",
    "PHOENIX_ALLOW_EXTERNAL_RESOURCES": "false",
    "PHOENIX_DISABLE_AGENT_ASSISTANT": "true",
    "PHOENIX_AGENTS_DISABLE_BASH": "true",
    "PHOENIX_AGENTS_DISABLE_WEB_ACCESS": "true",
    "PHOENIX_ENABLE_MCP_SERVER": "false",
}


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def phoenix(home: Path, *, port: int | None = None) -> Iterator[str]:
    """Run Phoenix; yield its address once it answers.

    Args:
        home: Where it keeps its database and its log.
        port: Of its pages and of OTLP over HTTP; a free one unless given.

    Raises:
        RuntimeError: It ended, or did not answer in time.
    """
    port = free_port() if port is None else port
    address = f"http://127.0.0.1:{port}"
    own = {"PHOENIX_WORKING_DIR": str(home), "PHOENIX_PORT": str(port), "PHOENIX_GRPC_PORT": str(free_port())}
    # Only what it needs: settings of the caller's OpenTelemetry are not its own.
    environment = {key: os.environ[key] for key in ("PATH", "HOME", "LANG") if key in os.environ} | QUIET | own
    with (home / "phoenix.log").open("wb") as log:
        process = subprocess.Popen([str(PROGRAM), "serve"], env=environment, stdout=log, stderr=log)  # noqa: S603 -- ours
        try:
            _wait(process, address, home / "phoenix.log")
            yield address
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(20)


def _wait(process: subprocess.Popen[bytes], address: str, log: Path) -> None:
    deadline = time.monotonic() + SECONDS_TO_START
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            with urllib.request.urlopen(f"{address}/healthz", timeout=2) as answer:  # noqa: S310 -- loopback
                if answer.status == 200:  # noqa: PLR2004 -- HTTP's own
                    return
        except (urllib.error.URLError, OSError):
            pass
        time.sleep(0.3)
    tail = log.read_text(encoding="utf-8", errors="replace")[-2_000:]
    message = f"Phoenix did not answer in {SECONDS_TO_START:.0f} seconds; its log ends with:\n{tail}"
    raise RuntimeError(message)
