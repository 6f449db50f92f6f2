"""A world of models with clearances, and a witness of what reaches them."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from support.leak_labels import witness
from support.leak_world import World

if TYPE_CHECKING:
    from session_router.testing.providers import Canaries


@pytest.fixture
def canaries() -> Canaries:
    return witness()


@pytest.fixture
def world(canaries: Canaries) -> World:
    # A seed whose world has all models, and no smaller requests: what is denied is refused.
    return World(canaries, random.Random(7))
