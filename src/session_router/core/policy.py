"""The stay-or-switch decision at a boundary.

Today it prices the coming call: dollars of the call plus the stake times the chance that the answer is bad.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from math import inf
from types import NoneType
from typing import TYPE_CHECKING

from session_router.core.checking import check_kind, check_number
from session_router.core.governance import TOP, Tag
from session_router.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from session_router.core.decision import Candidate
    from session_router.core.model import ModelName


class OnUnportable(StrEnum):
    """What to do when a better model cannot take the history as it is."""

    STAY = "stay"
    CONVERT = "convert"
    RAISE = "raise"


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Frozen settings. Two policies with the same settings have the same version.

    Attributes:
        default: The model for calls that nothing else decides; `None` for the first route.
        stake: US dollars that a badly served segment costs the user.
        margin: Share of the current model's expected dollars, in [0, 1), that a switch must save.
        output_tokens: Output tokens that a call is assumed to have.
        on_unportable: What to do when a better model cannot take the history as it is.
        unlabelled: The tag of data that nobody labelled, once governance is in use.
        version: Twelve hex digits over all other settings.

    Raises:
        ConfigurationError: A setting is out of its range.
    """

    default: str | None = None
    stake: float = 0.1
    margin: float = 0.05
    output_tokens: int = 400
    on_unportable: OnUnportable = OnUnportable.CONVERT
    unlabelled: Tag = TOP
    version: str = field(default="", init=False)

    def __post_init__(self) -> None:
        """Check the values."""
        check_kind(self.default, (str, NoneType), key="policy.default", rule="give the name of a route.")
        check_number(self.stake, key="policy.stake", rule="give US dollars >= 0.")
        check_number(self.margin, key="policy.margin", rule="give a share in [0, 1).", below=1.0)
        check_number(self.output_tokens, key="policy.output_tokens", rule="give a number of tokens >= 0.", whole=True)
        check_kind(self.unlabelled, Tag, key="policy.unlabelled", rule="give a `Tag`.")
        try:
            object.__setattr__(self, "on_unportable", OnUnportable(self.on_unportable))
        except ValueError:
            allowed = ", ".join(repr(option.value) for option in OnUnportable)
            raise ConfigurationError(key="policy.on_unportable", value=self.on_unportable, rule=f"choose one of {allowed}.") from None
        settings = {name: value for name, value in asdict(self).items() if name != "version"}
        plain = json.dumps(settings, sort_keys=True, default=_plain)
        object.__setattr__(self, "version", hashlib.blake2b(plain.encode(), digest_size=6).hexdigest())


def _plain(value: object) -> list[str]:
    if isinstance(value, frozenset):
        return sorted(map(str, value))  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType] -- `isinstance` cannot tell the elements' type
    msg = f"{value!r} has no place in a policy"
    raise TypeError(msg)


def cheapest(candidates: Sequence[Candidate], *, current: ModelName | None, margin: float) -> Candidate:
    """Choose among scored candidates.

    The order of `candidates` is irrelevant: ties go to the current model, then to the first name.

    Args:
        candidates: At least one, each with `expected` dollars.
        current: The session's model, or `None`.
        margin: Share of the current model's expected dollars that a switch must save.

    Returns:
        The candidate with the least expected dollars, or the current one when the saving is within the margin.
    """
    # What nobody could price is chosen last, not first.
    best = min(candidates, key=lambda one: (inf if one.expected is None else one.expected, one.model != current, one.model))
    here = next((one for one in candidates if one.model == current), None)
    if here is None or here.expected is None or best.expected is None:
        return best
    return best if here.expected - best.expected > margin * here.expected else here
