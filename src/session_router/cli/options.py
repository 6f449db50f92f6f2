"""What several commands are asked in the same words. Defaults are those of the library."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from session_router.replay import Pace

ASSUMED = Pace()
"""The times that are assumed where the user says nothing."""

Sessions: TypeAlias = Annotated[
    Path, typer.Argument(help="Recorded sessions: one JSON object a line with OpenAI chat messages, plain or gzip.")
]
MaybeSessions: TypeAlias = Annotated[
    Path | None, typer.Argument(help="Recorded sessions: one JSON object a line with OpenAI chat messages, plain or gzip.")
]
Configuration: TypeAlias = Annotated[
    Path | None, typer.Option(help="Configuration of the router (.toml, .yaml).", envvar="SESSION_ROUTER_CONFIG", show_envvar=True)
]
Lenient: TypeAlias = Annotated[bool, typer.Option("--lenient", help="Exit with 0 even if some sessions cannot be replayed.")]
Limit: TypeAlias = Annotated[int | None, typer.Option(min=1, help="Stop after this many sessions.")]
TurnSeconds: TypeAlias = Annotated[float, typer.Option(min=0, help="Assumed seconds from an answer to the next user turn.")]
CallSeconds: TypeAlias = Annotated[float, typer.Option(min=0, help="Assumed seconds from a call to its answer.")]
Start: TypeAlias = Annotated[datetime | None, typer.Option(help="Assumed time (UTC) at which each session begins; today when left out.")]
