"""`session-router demo`: real agents, routed through several sessions, one line a call."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console

_ALWAYS_NEEDED = ("langchain",)
_NEEDED_TO_SIMULATE = ("langchain_openai", "langchain_anthropic", "starlette", "uvicorn")


def demo(
    *,
    config: Annotated[
        Path | None,
        typer.Option(
            envvar="SESSION_ROUTER_CONFIG",
            help="Use the models of this configuration (.toml, .yaml) instead of simulated ones. Costs money.",
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the router's rows as lines of JSON, and nothing else.")] = False,
) -> None:
    """Route LangGraph agents through several sessions, and show every decision.

    Needs no key: the providers are simulated on this machine. The same sessions are then played without locks, and
    on the strong model alone. With `--config` the models of a configuration answer, and the comparison is left out.

    Exit code 1 when a turn got no answer, 2 when the demo could not start, 130 when interrupted.
    """
    from session_router.cli.exit_codes import BAD_INPUT, INTERRUPTED
    from session_router.cli.terminal import error_console, output_console

    console = output_console()
    try:
        complete = _run(console, config, json=json)
    except KeyboardInterrupt:
        error_console().print("[yellow bold]interrupted[/]")
        raise typer.Exit(INTERRUPTED) from None
    if not complete:
        raise typer.Exit(BAD_INPUT)


def _run(console: Console, config: Path | None, *, json: bool) -> bool:
    package = _loaded(console, simulated=config is None)
    write_line = typer.echo if json else None
    complete: bool = (
        package.run_simulated(console, write_line=write_line)
        if config is None
        else package.run_configured(console, config, write_line=write_line)
    )
    return complete


def _loaded(console: Console, *, simulated: bool) -> Any:  # noqa: ANN401 -- a module
    """Import the demo, and say which extra is missing if one is.

    Raises:
        MissingExtra: A package that the demo needs is not installed.
    """
    from importlib.util import find_spec

    from session_router.errors import MissingExtra

    for package in (*_ALWAYS_NEEDED, *(_NEEDED_TO_SIMULATE if simulated else ())):
        if find_spec(package) is None:
            raise MissingExtra(extra="demo", package=package.replace("_", "-"), feature="session-router demo")
    if not console.is_terminal:
        return importlib.import_module("session_router_demo")
    with console.status("loading LangChain"):
        # By name: this package must not depend on the integrations that depend on it.
        return importlib.import_module("session_router_demo")
