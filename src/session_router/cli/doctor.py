"""`session-router doctor`: whether the store does what a service needs, and what is degraded where it does not."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

import typer

from session_router.cli.exit_codes import BAD_INPUT
from session_router.cli.options import Configuration

if TYPE_CHECKING:
    from collections.abc import Iterator

    from session_router.ports import SessionStore
    from session_router.stores.examination import Finding

_STYLES = {"fine": "green", "warning": "yellow", "problem": "red bold"}


def doctor(*, config: Configuration = None) -> None:
    """Examine the store of a configuration, and its cache: can they be reached, how fast, do they keep things, and what is degraded.

    On Redis it looks at every server, and writes a row of each kind that expires at once.

    Exit code 1 when there is a problem, 2 when the configuration is wrong. Warnings are no problem.
    """
    from rich.table import Table

    from session_router.cli.cache_findings import cache_findings
    from session_router.cli.terminal import escaped, output_console
    from session_router.config import load_store

    store = load_store(config)
    table = Table(title=type(store).__name__, title_justify="left")
    for column in ("", "where", "what", "found", "means"):
        table.add_column(column, overflow="fold")
    verdicts: list[str] = []
    for finding in chain(_findings(store), cache_findings(config, store)):
        verdict = finding.verdict.value
        verdicts.append(verdict)
        row = (finding.where, finding.subject, finding.found, finding.means)
        table.add_row(f"[{_STYLES[verdict]}]{verdict}[/]", *map(escaped, row))
    console = output_console()
    console.print(table)
    problems, warnings = verdicts.count("problem"), verdicts.count("warning")
    console.print(f"problems: {problems}, warnings: {warnings}")
    if problems:
        raise typer.Exit(BAD_INPUT)


def _findings(store: SessionStore) -> Iterator[Finding]:
    from session_router.errors import StoreError
    from session_router.stores.examination import NOTHING_KEPT, Finding, Verdict
    from session_router.stores.redis import RedisSessionStore
    from session_router.stores.sqlite import SQLiteSessionStore

    if isinstance(store, RedisSessionStore):
        from session_router.stores.redis_examination import examine_redis

        try:
            yield from examine_redis(store)
        finally:
            store.close()
    elif isinstance(store, SQLiteSessionStore):
        where = str(store.path)
        try:
            store.check()
        except StoreError as error:
            yield Finding(where=where, subject="file", found=str(error), verdict=Verdict.PROBLEM, means=NOTHING_KEPT)
        else:
            yield Finding(where=where, subject="file", found="intact, and can be written", means="for the processes of one machine.")
        finally:
            store.close()
    else:
        yield Finding(where="this process", subject="memory", found="always there", means="each replica has sessions of its own.")
