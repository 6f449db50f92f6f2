"""What the simulated models say: the same words from whichever model is asked; only one that thinks shows its thoughts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from session_router.testing.providers import Reply, ScriptedBehaviour, ToolCall

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_RESERVE_BEFORE: Final = """\
        if len(self._free) < count:
            raise SoldOut(wanted=count, free=len(self._free))
        chosen = tuple(sorted(self._free)[:count])
        with self._lock:
            self._take(chosen, booking)
        return chosen
"""
_RESERVE_AFTER: Final = """\
        with self._lock:
            if len(self._free) < count:
                raise SoldOut(wanted=count, free=len(self._free))
            chosen = tuple(sorted(self._free)[:count])
            self._take(chosen, booking)
        return chosen
"""


def _asks(*calls: tuple[str, dict[str, object]], text: str = "", thinking: str | None = None) -> Reply:
    return Reply(text=text, tool_calls=tuple(ToolCall(name=name, arguments=arguments) for name, arguments in calls), thinking=thinking)


SCRIPT: Final[Mapping[str, Sequence[Reply | str]]] = {
    # Support, an order and a fault
    "Where is order A-1042": (
        _asks(("lookup_order", {"order_id": "A-1042"}), ("track_parcel", {"order_id": "A-1042"})),
        "Your parcel is out for delivery, expected on 14 May. It holds both items, the desk lamp Fjell and the spare bulb TB-9001.",
    ),
    "the lamp flickers": (
        _asks(
            ("read_diagnostics", {"serial": "FJ2-77120"}),
            thinking="The handbook wants the log before a cause. The serial number came with the order.",
        ),
        _asks(
            ("search_known_faults", {"product": "Fjell FJ-2", "symptom": "flicker, steady supply, dips of 180 to 210 ms"}),
            thinking="Supply and temperature are steady, so neither KF-07 nor a hot driver. The ring's channel 2 is noisy and the dips "
            "follow it. I compare that with the list.",
        ),
        Reply(
            text="The lamp itself is steady; its touch ring is not. Channel 2 of the ring is noisy, and each dip of the light, 180 to "
            "210 milliseconds long, follows it within the same second. That is a known fault: the ribbon cable between ring and driver "
            "chafes at the hinge. The plan: the workshop replaces the ribbon cable, TB-2207, in two working days under your warranty. "
            "Until then you can use the lamp; please do not bend its hinge.",
            thinking="KF-12 fits on all three counts. The base must be opened, so it is a workshop repair, within the warranty.",
        ),
    ),
    "Which part": ("The ribbon cable TB-2207. Your warranty covers the part and the work.",),
    "opening hours": ("The desk is open from 8:00 to 18:00 on working days.",),
    # Support, a refund that a person approves
    "refund order A-1077": (
        _asks(("lookup_order", {"order_id": "A-1077"})),
        _asks(("check_refund_terms", {"order_id": "A-1077"})),
        _asks(("issue_refund", {"order_id": "A-1077", "amount_eur": 33.5, "reason": "shade damaged in transit"})),
        "I have refunded 33.50 EUR for the shade, reference RF-5518. You need not send it back.",
    ),
    "When will I see the money": ("The bank needs three to five working days from today.",),
    # Coding, a race condition
    "List the failing tests": (
        _asks(("run_tests", {"selection": "tests"})),
        "One of 21 tests fails, and not on every run: tests/test_seats.py::test_no_seat_is_sold_twice. Two threads were handed seat 1.",
    ),
    "Debug the race condition": (
        _asks(
            ("read_file", {"path": "ferryline/seats.py"}),
            ("read_file", {"path": "tests/test_seats.py"}),
            thinking="I need the code and the test that fails, and both names are known.",
        ),
        _asks(
            ("apply_patch", {"path": "ferryline/seats.py", "old": _RESERVE_BEFORE, "new": _RESERVE_AFTER}),
            thinking="reserve() checks and chooses before it takes the lock. Two threads choose the same seats, then both take them, "
            "one after the other. The lock has to cover the check and the choice.",
        ),
        _asks(
            ("run_tests", {"selection": "tests"}),
            thinking="The handbook wants a run after the last change.",
        ),
        Reply(
            text="reserve() looked at the free seats before it took the lock, so two threads could choose the same seats; the lock then "
            "only put both writes into a row. The check, the choice and the write are now under one lock. All 21 tests pass, and the "
            "concurrency tests passed five times in a row.",
            thinking="All pass. I say what was wrong, what changed and what proves it.",
        ),
    ),
    "is sold out": ("It raises SoldOut with the number of seats that are free, and holds nothing.",),
    "to the changelog": (
        _asks(
            (
                "apply_patch",
                {
                    "path": "CHANGELOG.md",
                    "old": "# Changes\n\n",
                    "new": "# Changes\n\n- Two bookings at the same moment could be given the same seat.\n",
                },
            )
        ),
        "Done: the changelog now begins with the line about seats that were sold twice.",
    ),
}
"""Replies of the successive calls of a turn, by a part of the user's text."""


def scripted_model() -> ScriptedBehaviour:
    """Return the behaviour of every simulated model."""
    return ScriptedBehaviour(SCRIPT)
