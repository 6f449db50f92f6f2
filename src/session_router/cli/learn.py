"""`session-router learn`: what do past sessions tell about those to come?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from session_router.cli.options import ASSUMED, CallSeconds, Configuration, Lenient, Sessions, Start, TurnSeconds
from session_router.learning import DEFAULT_SESSIONS

if TYPE_CHECKING:
    from session_router.recordings import Recording

OUT = "--out"


def learn(
    sessions: Sessions,
    *,
    out: Annotated[Path, typer.Option(help="Where to write the experience; `policy.experience` in the configuration names it.")],
    config: Configuration = None,
    kept: Annotated[int, typer.Option(min=1, help="Remember this many sessions at most.")] = DEFAULT_SESSIONS,
    lenient: Lenient = False,
    turn_seconds: TurnSeconds = ASSUMED.turn_seconds,
    call_seconds: CallSeconds = ASSUMED.call_seconds,
    start: Start = None,
) -> None:
    """Learn from recorded sessions what follows a boundary, so that the router need not look at the coming segment alone.

    Nothing is sent anywhere. What is written holds numbers only, no text of any session, and counts for the stake, the handoff
    and the prices of the configuration: with others, learn again. Exit code 1 when a session could not be read (the others are
    learned from), 2 when there was nothing to learn, 130 when interrupted, and then nothing is written.
    """
    import json

    from session_router.cli.closing import leave
    from session_router.cli.exit_codes import INTERRUPTED
    from session_router.cli.offline import offline_router, pace_of
    from session_router.cli.outputs import check_outputs, write_whole
    from session_router.cli.reading import take_sessions
    from session_router.cli.terminal import escaped, output_console
    from session_router.learning import Learner
    from session_router.recordings import SessionFile
    from session_router.replay import replay_session

    # What was learned before must not colour what is learned now, and may be outdated or not be there yet: it is written anew.
    check_outputs({OUT: out}, sessions=sessions, config=config, whole=[OUT], experienced=False)
    router = offline_router(config, experienced=False)
    pace = pace_of(start, turn_seconds=turn_seconds, call_seconds=call_seconds)
    learner = Learner(router, sessions=kept)

    def take(recording: Recording) -> int:
        calls = list(replay_session(recording, router, pace=pace))
        learner.add(calls)
        return len(calls)

    taken = take_sessions(SessionFile(sessions), take)
    if taken.stopped:
        raise typer.Exit(INTERRUPTED)
    experience = learner.experience()
    write_whole(OUT, out, json.dumps(experience.to_plain(), allow_nan=False) + "\n")
    output_console().print(
        f"{learner.boundaries:,} boundaries of {learner.sessions:,} sessions -> {escaped(str(out))}\n"
        f'Put `experience = "{escaped(out.name)}"` into `\\[policy]` of the configuration beside it.'
    )
    leave(taken, lenient=lenient)
