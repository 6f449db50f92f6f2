"""Tests that share servers, or kill processes, are kept together: beside one another they are slow, or fail."""

from __future__ import annotations

import pytest


@pytest.mark.xdist_group("anything")
def test_workers_keep_groups_together(request: pytest.FixtureRequest) -> None:
    # With a pytest that is newer than it knows, pytest-xdist forgets all groups, and says nothing.
    is_grouped = getattr(request.config.option, "loadgroup", False)
    assert not is_grouped or request.node.nodeid.endswith("@anything"), "pytest-xdist keeps no groups together: install an older pytest"
