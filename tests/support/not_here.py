"""What a test needs and this machine does not have."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest


def not_here(what: str, remedy: str) -> NoReturn:
    """Skip the test, but fail where CI counts on it: a run of which parts were left out must not look whole.

    Args:
        what: The program that is missing.
        remedy: How to install it.
    """
    if os.environ.get("CI", "").lower() in {"1", "true", "yes"}:
        pytest.fail(f"{what} is missing: {remedy}.")
    pytest.skip(f"{what} is missing: {remedy}.")
