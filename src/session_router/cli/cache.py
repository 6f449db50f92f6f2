"""`session-router cache`: what a cache holds, what its audits have shown, and removing from it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

from session_router.cli.options import Configuration, Lenient, Limit, Sessions

if TYPE_CHECKING:
    from pathlib import Path

    from session_router.cache.semantic import SemanticCache
    from session_router.recordings import Recording

cache = typer.Typer(name="cache", help="Look into the semantic cache of a configuration, and remove from it.", no_args_is_help=True)


@cache.command()
def status(*, config: Configuration = None) -> None:
    """Show how many entries there are, and what the audits of similar questions have shown.

    Exit code 2 when there is no cache, or it gives no answer.
    """
    from session_router.cache.redis_rows import RedisEntryRows, searched_by
    from session_router.cli.stored_table import certificates
    from session_router.cli.terminal import output_console
    from session_router.cli.words import plural

    with _kept_cache(config) as stored:
        console = output_console()
        console.print(f"{plural(stored.count(), 'entry')} kept")
        if isinstance(stored.rows, RedisEntryRows):
            console.print(f"similar questions are looked for {searched_by(vector_sets=stored.rows.has_vector_sets())}.")
        strata = stored.strata()
        console.print(certificates(strata) if strata else "no similar questions were audited yet: they are watched, and not served.")


@cache.command()
def certify(sessions: Sessions, *, config: Configuration = None, lenient: Lenient = False, limit: Limit = None) -> None:
    """Count recorded sessions as audits: each similar question is compared with what was really answered.

    The sessions' answers are not kept. A file counts once. Exit code 1 when a session could not be read (the others count), 2 when
    there is no cache or the file was counted before, 130 when interrupted, and then the rest of the file cannot be counted any more.
    """
    from session_router.cli.closing import leave, print_left_out
    from session_router.cli.counted_files import count_file
    from session_router.cli.offline import offline_router, stored_answers
    from session_router.cli.reading import take_sessions
    from session_router.cli.stored_table import print_stored
    from session_router.cli.terminal import output_console
    from session_router.recordings import SessionFile
    from session_router.replay import replay_session

    with _kept_cache(config) as kept:
        router = offline_router(config)
        stored = stored_answers(config, router, certificates=kept.rows)
        assert stored is not None  # noqa: S101 -- there is a cache
        count_file(sessions, kept)

        def take(recording: Recording) -> int:
            calls = list(replay_session(recording, router))
            for replayed in calls:
                stored.show(replayed)
            return len(calls)

        taken = take_sessions(SessionFile(sessions), take, limit=limit)
        console = output_console()
        print_left_out(console, taken, empty=False)
        print_stored(console, stored, counted=True)
    leave(taken, lenient=lenient)


@cache.command()
def purge(
    *,
    config: Configuration = None,
    everything: Annotated[bool, typer.Option("--all", help="Remove all entries, not only what is over.")] = False,
) -> None:
    """Remove entries that are over, and the oldest beyond the limit. What the audits have shown stays.

    Exit code 2 when there is no cache, or it gives no answer.
    """
    from session_router.cli.terminal import output_console
    from session_router.cli.words import plural

    with _kept_cache(config) as stored:
        removed = stored.clear() if everything else stored.purge(now=time.time())
        output_console().print(f"{plural(removed, 'entry')} removed, {stored.count():,} kept")


@cache.command()
def erase(subject: Annotated[str, typer.Argument(help="The data subject, as tags name it.")], *, config: Configuration = None) -> None:
    """Remove everything about a data subject, and refuse what was asked about it before and is stored later.

    Exit code 2 when there is no cache, or it is not certain that all was removed.
    """
    from session_router.cli.terminal import output_console
    from session_router.cli.words import plural
    from session_router.errors import ConfigurationError

    if not subject.strip():
        raise ConfigurationError(key="SUBJECT", value=subject, rule="nobody is named; give whom to erase.")
    with _kept_cache(config) as stored:
        removed = stored.erase(subject, now=time.time())
        output_console().print(f"{plural(removed, 'entry')} removed")


def _kept_cache(config: Path | None) -> SemanticCache:
    """Open the cache of a configuration.

    Raises:
        ConfigurationError: It has none, or one that ends with its process.
    """
    from session_router.cache.memory_rows import MemoryEntryRows
    from session_router.config import load_cache
    from session_router.errors import ConfigurationError

    stored = load_cache(config)
    if stored is None or isinstance(stored.rows, MemoryEntryRows):
        rule = "there is no cache that outlives a process; give the configuration a `[cache]` table with a `path` or a `url`."
        raise ConfigurationError(key="cache.path", value=None, rule=rule, source=None if config is None else str(config))
    return stored
