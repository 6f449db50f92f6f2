"""`session-router learn`: what do past sessions tell about those to come?"""

from __future__ import annotations

from datetime import datetime  # noqa: TC003 -- typer reads the annotations
from pathlib import Path  # noqa: TC003 -- as above
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from session_router.recordings import Recording


def learn(
    sessions: Annotated[Path, typer.Argument(help="Recorded sessions: one JSON object a line with OpenAI chat messages, plain or gzip.")],
    *,
    out: Annotated[Path, typer.Option(help="Where to write the experience; `policy.experience` in the configuration names it.")],
    config: Annotated[
        Path | None, typer.Option(help="Configuration of the router (.toml, .yaml).", envvar="SESSION_ROUTER_CONFIG", show_envvar=True)
    ] = None,
    kept: Annotated[int, typer.Option(min=1, help="Remember this many sessions at most.")] = 200,
    lenient: Annotated[bool, typer.Option("--lenient", help="Exit with 0 even if some sessions cannot be replayed.")] = False,
    turn_seconds: Annotated[float, typer.Option(min=0, help="Assumed seconds from an answer to the next user turn.")] = 20.0,
    call_seconds: Annotated[float, typer.Option(min=0, help="Assumed seconds from a call to its answer.")] = 5.0,
    start: Annotated[datetime | None, typer.Option(help="Assumed time (UTC) at which each session begins; today when left out.")] = None,
) -> None:
    """Learn from recorded sessions what follows a boundary, so that the router need not look at the coming segment alone.

    Nothing is sent anywhere. What is written holds numbers only, no text of any session, and counts for the stake, the handoff
    and the prices of the configuration: with others, learn again. Exit code 1 when a session could not be read (the others are
    learned from), 2 when there was nothing to learn, 130 when interrupted, and then nothing is written.
    """
    import json

    from session_router.cli.reading import take_sessions
    from session_router.cli.replay import BAD_INPUT, INTERRUPTED, KEPT_SESSIONS, REPLAY_KEY, posix
    from session_router.cli.terminal import escaped, output_console
    from session_router.config import load_router
    from session_router.learning import Learner
    from session_router.recordings import SessionFile
    from session_router.replay import Pace, replay_session
    from session_router.stores.memory import MemorySessionStore

    # What was learned before must not colour what is learned now, and may be outdated or not be there yet.
    router = load_router(config, experienced=False, store=MemorySessionStore(maximum_sessions=KEPT_SESSIONS), key=REPLAY_KEY)
    pace = Pace(start=posix(start), turn_seconds=turn_seconds, call_seconds=call_seconds)
    learner = Learner(router, sessions=kept)

    def take(recording: Recording) -> int:
        calls = list(replay_session(recording, router, pace=pace))
        learner.add(calls)
        return len(calls)

    bad, stopped = take_sessions(SessionFile(sessions), take)
    if stopped:
        raise typer.Exit(INTERRUPTED)
    experience = learner.experience()
    _write(out, json.dumps(experience.to_plain()))
    output_console().print(
        f"{learner.boundaries:,} boundaries of {learner.sessions:,} sessions -> {escaped(str(out))}\n"
        f'Put `experience = "{escaped(out.name)}"` into `\\[policy]` of the configuration beside it.'
    )
    if bad and not lenient:
        raise typer.Exit(BAD_INPUT)


def _write(path: Path, text: str) -> None:
    """Put `text` at `path`, whole or not at all."""
    from session_router.errors import ConfigurationError

    draft = path.with_name(path.name + ".part")
    try:
        draft.write_text(text + "\n", encoding="utf-8")
        draft.replace(path)
    except OSError as error:
        raise ConfigurationError(key="--out", value=str(path), rule=f"it cannot be written ({error.strerror or error}).") from error
