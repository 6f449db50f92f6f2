"""The commands. Each module loads what it needs when it runs, and before that no more than its defaults."""

from __future__ import annotations

from typing import Annotated

import typer

from session_router.cli.audit import audit
from session_router.cli.cache import cache
from session_router.cli.check_policy import check_policy
from session_router.cli.demo import demo
from session_router.cli.doctor import doctor
from session_router.cli.explain import explain
from session_router.cli.fit import fit
from session_router.cli.learn import learn
from session_router.cli.prices import prices
from session_router.cli.regret import regret
from session_router.cli.replay import replay

app = typer.Typer(
    name="session-router",
    help="A routing layer for LLM agents that knows when it must not switch.",
    no_args_is_help=True,
    rich_markup_mode="markdown",  # which joins the lines of a docstring's paragraph
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _print_version(value: bool) -> None:  # noqa: FBT001 -- typer calls it so
    if value:
        from importlib.metadata import version

        typer.echo(f"session-router {version('session-router')}")
        raise typer.Exit


@app.callback()
def options(
    *,
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    """A routing layer for LLM agents that knows when it must not switch."""


app.command()(demo)
app.command()(replay)
app.command()(regret)
app.command()(explain)
app.command()(learn)
app.command()(fit)
app.command()(prices)
app.add_typer(cache)
app.command()(doctor)
app.command("check-policy")(check_policy)
app.add_typer(audit, name="audit")
