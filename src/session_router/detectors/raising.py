"""Asks a detector, and takes its word where it raises a label. One that fails says nothing good."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from session_router.core.governance import TOP, Tag, join

if TYPE_CHECKING:
    from collections.abc import Sequence

    from session_router.ports import Detector

logger = logging.getLogger("session_router")


def raised(tag: Tag, text: str, detectors: Sequence[Detector], *, on_failure: Tag = TOP) -> Tag:
    """Return `tag` joined with what `detectors` find in `text`.

    Args:
        tag: The label that the text has; the result is never below it.
        text: What is looked at.
        detectors: Whom to ask.
        on_failure: Joined instead, where one of them fails. Unless given, the text may then go nowhere.
    """
    found = [tag]
    for detector in detectors:
        try:
            found.append(_checked(detector.detect(text)))
        except Exception as error:  # noqa: BLE001 -- whatever it is, nothing was found out
            found.append(_failed(detector, error, on_failure))
    return join(*found)


async def araised(tag: Tag, text: str, detectors: Sequence[Detector], *, on_failure: Tag = TOP) -> Tag:
    """Do what `raised` does without blocking the event loop."""
    found = [tag]
    for detector in detectors:
        try:
            found.append(_checked(await detector.adetect(text)))
        except Exception as error:  # noqa: BLE001 -- as above
            found.append(_failed(detector, error, on_failure))
    return join(*found)


def _checked(found: object) -> Tag:
    if not isinstance(found, Tag):
        msg = f"a detector returned {type(found).__name__}, where a `Tag` belongs"
        raise TypeError(msg)
    return found


def _failed(detector: Detector, error: Exception, on_failure: Tag) -> Tag:
    # Only the class of the error: its message may hold the text.
    logger.warning("detector %s failed (%s); the text counts as %s", type(detector).__name__, type(error).__name__, on_failure.describe())
    return on_failure
