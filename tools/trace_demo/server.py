"""Backends of their own: embedded SQLite, loopback only, nothing from the network."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

ROOT: Final = Path(__file__).resolve().parents[2]
PHOENIX: Final = ROOT / ".venv-phoenix" / "bin" / "phoenix"
MLFLOW: Final = ROOT / ".venv-mlflow" / "bin" / "mlflow"
SECONDS_TO_START: Final = 180.0
QUIET_PHOENIX: Final = {
    "PHOENIX_HOST": "127.0.0.1",
    "PHOENIX_TELEMETRY_ENABLED": "false",
    "PHOENIX_ALLOW_EXTERNAL_RESOURCES": "false",
    "PHOENIX_DISABLE_AGENT_ASSISTANT": "true",
    "PHOENIX_AGENTS_DISABLE_BASH": "true",
    "PHOENIX_AGENTS_DISABLE_WEB_ACCESS": "true",
    "PHOENIX_ENABLE_MCP_SERVER": "false",
}
QUIET_MLFLOW: Final = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}


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
    own = {"PHOENIX_WORKING_DIR": str(home), "PHOENIX_PORT": str(port), "PHOENIX_GRPC_PORT": str(free_port())}
    address = f"http://127.0.0.1:{port}"
    with _running([str(PHOENIX), "serve"], QUIET_PHOENIX | own, health=f"{address}/healthz", log=home / "phoenix.log"):
        yield address


@contextmanager
def mlflow(home: Path, *, port: int | None = None) -> Iterator[str]:
    """Run the tracking server of MLflow; yield its address once it answers.

    Args:
        home: Where it keeps its database and its log.
        port: Of its pages and of OTLP over HTTP; a free one unless given.

    Raises:
        RuntimeError: It ended, or did not answer in time.
    """
    port = free_port() if port is None else port
    address = f"http://127.0.0.1:{port}"
    command = [
        str(MLFLOW),
        "server",
        "--host=127.0.0.1",
        f"--port={port}",
        "--workers=1",
        f"--backend-store-uri=sqlite:///{home}/mlflow.db",
        "--no-serve-artifacts",
        f"--default-artifact-root={home}/artifacts",
    ]
    with _running(command, QUIET_MLFLOW, health=f"{address}/health", log=home / "mlflow.log"):
        yield address


def asked(url: str, body: Mapping[str, Any] | None = None) -> Any:  # noqa: ANN401 -- whatever JSON says
    """Return what a server of ours answers, as JSON."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, headers={"Content-Type": "application/json"})  # noqa: S310 -- loopback
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 -- loopback
        return json.loads(answer.read())


@contextmanager
def _running(command: Sequence[str], own: Mapping[str, str], *, health: str, log: Path) -> Iterator[None]:
    # Only what it needs: settings of the caller's OpenTelemetry are not its own.
    environment = {key: os.environ[key] for key in ("PATH", "HOME", "LANG") if key in os.environ} | own
    with log.open("wb") as told:
        process = subprocess.Popen(command, env=environment, stdout=told, stderr=told, cwd=log.parent)  # noqa: S603 -- ours
        try:
            _wait(process, health, log)
            yield
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(20)


def _wait(process: subprocess.Popen[bytes], health: str, log: Path) -> None:
    deadline = time.monotonic() + SECONDS_TO_START
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            with urllib.request.urlopen(health, timeout=2) as answer:  # noqa: S310 -- loopback
                if answer.status == 200:  # noqa: PLR2004 -- HTTP's own
                    return
        except (urllib.error.URLError, OSError):
            pass
        time.sleep(0.3)
    tail = log.read_text(encoding="utf-8", errors="replace")[-2_000:]
    message = f"{log.stem} did not answer in {SECONDS_TO_START:.0f} seconds; its log ends with:\n{tail}"
    raise RuntimeError(message)
