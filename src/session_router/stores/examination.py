"""What an examination of a store finds: facts, and what of them will be felt."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

NOTHING_KEPT: Final = "sessions are not kept: each call is routed from its history, and stays on its model."
"""What it means for users that a store keeps nothing."""


class Verdict(StrEnum):
    """How a fact is."""

    FINE = "fine"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One fact.

    Attributes:
        where: Which server or file.
        subject: What was looked at.
        found: What there is.
        verdict: How that is.
        means: What is degraded by it, and what would help; empty when nothing is.
    """

    where: str
    subject: str
    found: str
    verdict: Verdict = Verdict.FINE
    means: str = ""
