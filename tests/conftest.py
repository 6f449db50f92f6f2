"""What holds for every run of the tests, and what it tells at its end."""

from __future__ import annotations

from typing import Any

from hypothesis import settings

from support.redis_servers import NO_VECTOR_SETS

# A deadline is a timing in an assertion: it fails on a busy machine. The rest is as Hypothesis chose it, on a server of checks as well.
settings.register_profile("unhurried", settings(deadline=None))
settings.load_profile("unhurried")


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say loudly what was not tested for want of a server; one line among many skipped tests would be overlooked."""
    missed = [report for report in terminalreporter.stats.get("skipped", ()) if NO_VECTOR_SETS in str(report.longrepr)]
    if missed:
        terminalreporter.section("VECTOR SETS WERE NOT TESTED", sep="!", red=True, bold=True)
        terminalreporter.line(f"{len(missed)} tests were skipped: {NO_VECTOR_SETS}.", red=True, bold=True)
