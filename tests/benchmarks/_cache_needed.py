"""What would be needed where a bound is not shown: so many hits, a better verifier, or data that are surer of themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks._cache_judging import hits_needed

if TYPE_CHECKING:
    from benchmarks._cache_judging import Judged


def told_of_need(ours: Judged, best: Judged, *, limit: float, aloud: tuple[int, int]) -> str:
    """Say why the 95 % bound of the wrong ones per hit is, or is not, below a limit, and what would be needed.

    Args:
        ours: At the thresholds that were chosen on the other parts.
        best: At the one threshold that is best for the third tier in hindsight.
        limit: The share of wrong ones per hit.
        aloud: Requests that read like a stored one, letter by letter, and those of them that have another answer by the labels of the set.
    """
    if ours.hits and ours.bound <= limit:
        return "the bound is shown"
    told = [f"with {ours.wrong} wrong ones it takes {hits_needed(ours.wrong, limit=limit)} hits to show it, and there are {ours.hits}"]
    formed, bad = (sum(ours.tiers[tier][part] for tier in ("exact", "content")) for part in (0, 1))
    if bad:
        told.append(
            f"the first two tiers, which no score keeps back, are wrong in {bad} of {formed}; by the labels of this set, {aloud[1]} of "
            f"{aloud[0]} requests that read like a stored one, letter by letter, have another answer: no cache can tell these apart, and "
            "it takes labels of what is right for a question rather than of what was said once"
        )
    hits, wrong = ours.tiers["similar"]
    if wrong > limit * hits:
        told.append(
            f"the third tier is wrong in {wrong} of {hits}: what was chosen on some does not hold on others; in hindsight one "
            f"threshold keeps {best.tiers['similar'][0]} hits of it with {best.tiers['similar'][1]} wrong, so that it takes a verifier "
            "that orders pairs better, or more requests to choose by"
        )
    elif not wrong and not bad:
        told.append(f"none is wrong: {max(0, hits_needed(0, limit=limit) - ours.hits)} more such hits would do")
    return "; ".join(told)
