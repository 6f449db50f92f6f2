"""What several chat models can do together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from langchain_core.language_models.model_profile import ModelProfile


def common_profile(profiles: Iterable[Mapping[str, Any] | None]) -> ModelProfile | None:
    """Intersect profiles: an ability must be everybody's, a limit is the smallest.

    Returns:
        The common profile, or `None` when somebody has none: then nothing is known of all.
    """
    known = list(profiles)
    if not known or any(not profile for profile in known):
        return None
    sure = cast("list[Mapping[str, Any]]", known)
    common: dict[str, Any] = {}
    for key in sure[0]:
        if not all(key in profile for profile in sure):
            continue
        values = [profile[key] for profile in sure]
        if all(isinstance(value, bool) for value in values):
            common[key] = all(values)
        elif all(isinstance(value, int) for value in values):
            common[key] = min(values)
    return cast("ModelProfile", common) or None
