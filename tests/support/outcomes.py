"""Outcomes that are made up: which model serves a question follows from its words, up to chance."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

EASY = ("greet", "thank", "confirm", "translate", "spell")
HARD = ("integrate", "prove", "schedule", "reconcile", "optimise")
FILLERS = ("invoice", "harbour", "lamp", "orchard", "meeting", "parcel", "ticket", "garden", "report", "engine")


def made_up(rows: int, *, seed: int = 0, costs: bool = True) -> list[dict[str, Any]]:
    """Return lines of outcomes: `strong` serves nearly all, `fast` what is easy."""
    generator = random.Random(seed)
    lines: list[dict[str, Any]] = []
    for number in range(rows):
        hard = generator.random() < 0.5
        words = generator.choices(HARD if hard else EASY, k=2) + generator.choices(FILLERS, k=4)
        generator.shuffle(words)
        chances = {"fast": 0.2 if hard else 0.97, "strong": 0.9 if hard else 0.97}
        outcomes = {
            name: {"score": float(generator.random() < chance), "cost": (0.001 if name == "fast" else 0.01) if costs else None}
            for name, chance in chances.items()
        }
        lines.append({"prompt": f"{' '.join(words)} {number}", "outcomes": outcomes})
    return lines


def write_outcomes(path: Path, lines: list[dict[str, Any]]) -> Path:
    """Write `lines` as JSON lines; return `path`."""
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path
