"""Moments as they are written on a command line."""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime


def seconds_of(moment: datetime) -> float:
    """Return POSIX seconds; what names no time zone is in UTC."""
    return (moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment).timestamp()
