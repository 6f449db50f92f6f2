"""`session-router prices`: what each model costs, and who says so."""

from __future__ import annotations

from typing import TYPE_CHECKING

from session_router.cli.options import Configuration

if TYPE_CHECKING:
    from session_router.config import Priced
    from session_router.core.prefix import PromptCache


def prices(*, config: Configuration = None) -> None:
    """Show what each model costs, where the price comes from, and how its prompts are cached.

    Exit code 2 when the configuration is wrong, or a price is unknown.
    """
    from rich.table import Table

    from session_router.cli.terminal import escaped, output_console
    from session_router.config import load_prices

    priced = load_prices(config)
    table = Table(title="US dollars per 1,000,000 tokens", title_justify="left")
    table.add_column("model")
    for column in ("input", "cached input", "cache write", "output"):
        table.add_column(column, justify="right")
    table.add_column("prompt cache", overflow="fold")
    table.add_column("price from", overflow="fold")
    for name, one in priced.items():
        own = one.prices
        dollars = [_dollars(price, own.input) for price in (own.input, own.cached_input, own.cache_write, own.output)]
        table.add_row(escaped(name), *dollars, _cache(one.prompt_cache), escaped(_origin(one)))
    console = output_console()
    console.print(table)
    for source in sorted({one.source for one in priced.values() if one.listed_as}):
        console.print(f"[dim]price list: {escaped(source)}[/]")
    for name, one in priced.items():
        if one.dearer_above is not None:
            console.print(f"[dim]{escaped(name)}: requests above {one.dearer_above:,} tokens cost more; the router does not count that.[/]")


def _dollars(price: float | None, plain: float) -> str:
    """A price that is not stated is that of input."""
    return f"[dim]{plain:,.6g}[/]" if price is None else f"{price:,.6g}"


def _cache(cache: PromptCache) -> str:
    if not cache.seconds_to_live:
        return "none"
    blocks = "" if cache.block_tokens == 1 else f", in blocks of {cache.block_tokens:,}"
    least = f", from {cache.minimum_tokens:,} tokens" if cache.minimum_tokens else ""
    return f"{cache.seconds_to_live:,.6g} s{least}{blocks}"


def _origin(priced: Priced) -> str:
    return f"{priced.listed_as} in the price list" if priced.listed_as else priced.source
