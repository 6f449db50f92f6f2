"""Rules of your own, as Cedar policies (extra `cedar`): they may forbid what a clearance permits, and permit nothing beyond it.

A policy has them (`Policy(rules=CedarRules(text))`, `[policy] rules = "rules.cedar"`), and its version names them.
"""

from __future__ import annotations

import hashlib
import importlib
from math import isfinite
from typing import TYPE_CHECKING, Any, Final

from session_router.core.governance import READER, failing_rule
from session_router.errors import ConfigurationError, MissingExtra

if TYPE_CHECKING:
    from session_router.core.governance import Clearance, Tag

ACTION: Final = 'Action::"see"'
PRINCIPAL, RESOURCE = "Model", "Data"
READERS: Final = ("Reader", "cache")
"""Those who read stored answers."""
_PAYLOAD: Final = "payload"
_LARGEST: Final = 2**63 - 1
_FINGERPRINT_BYTES: Final = 16


class CedarRules:
    """Asks Cedar as well, wherever `permits` is asked.

    The principal is `Model::"NAME"`, with the attributes of its clearance, or `Reader::"cache"`, with those of `policy.cache.reader`, for
    a stored answer; the resource is `Data::"payload"`, with those of the tag;
    the action is `Action::"see"`; `context` holds `purpose`, if there is one, and `now` in whole seconds. What is not known is not
    there: a policy that reads it without asking (`principal has retention_seconds`) errs, and then nothing is permitted. Cedar
    itself would leave out a `forbid` that errs, and allow.

    ```cedar
    permit (principal, action == Action::"see", resource);
    forbid (principal, action, resource)
    when { resource.categories.contains("phi") && principal.endpoint != "https://own.example" };
    ```

    Args:
        policies: Cedar policies. Whatever no `permit` permits is forbidden.

    Attributes:
        fingerprint: Of their text.

    Raises:
        MissingExtra: cedarpy is not installed.
        ConfigurationError: The policies cannot be read, or there are none.
    """

    def __init__(self, policies: str) -> None:
        try:
            self._cedar: Any = importlib.import_module("cedarpy")
        except ImportError:
            raise MissingExtra(extra="cedar", package="cedarpy", feature="CedarRules") from None
        try:
            self._policies: Any = self._cedar.PolicySet.from_str(policies)
        except ValueError as error:
            raise ConfigurationError(key="policies", value="(Cedar policies)", rule=f"they cannot be read: {error}.") from None
        self.fingerprint = hashlib.blake2b(policies.encode(), digest_size=_FINGERPRINT_BYTES).hexdigest()
        if not policies.strip():
            raise ConfigurationError(key="policies", value="", rule="without a policy, nothing is permitted; give at least one `permit`.")

    def failing_rule(self, tag: Tag, clearance: Clearance | None, *, model: str, now: float, purpose: str | None = None) -> str | None:
        """Name the first rule that forbids `model` to see `tag`: of `governance.failing_rule`, else of Cedar; `None` when it may.

        Args:
            tag: The join over the exact payload.
            clearance: The model's; `None` is an unknown model, which is cleared for nothing.
            model: Its name; `READER` for those who read a stored answer.
            now: POSIX seconds.
            purpose: What the call is for.
        """
        rule = failing_rule(tag, clearance, now=now, purpose=purpose)
        if rule is not None or clearance is None:
            return rule
        if not isfinite(now):
            return "the clock gives no time"
        principal = (PRINCIPAL, model) if model != READER else READERS
        request = {
            "principal": _entity(*principal),
            "action": ACTION,
            "resource": _entity(RESOURCE, _PAYLOAD),
            "context": _known({"now": int(now), "purpose": purpose}),
        }
        entities: list[dict[str, Any]] = [
            {"uid": {"type": principal[0], "id": principal[1]}, "attrs": _clearance(clearance), "parents": []},
            {"uid": {"type": RESOURCE, "id": _PAYLOAD}, "attrs": _tag(tag), "parents": []},
        ]
        try:
            answer = self._cedar.is_authorized(request, self._policies, entities)
            allowed, errors, reasons = answer.decision is self._cedar.Decision.Allow, answer.diagnostics.errors, answer.diagnostics.reasons
        except Exception as error:  # noqa: BLE001 -- whatever it is, nothing was permitted
            return f"Cedar failed ({type(error).__name__})"
        if errors:
            return f"a Cedar policy errs: {errors[0]}"
        if not allowed:
            return f"forbidden by Cedar: {', '.join(sorted(reasons)) or 'no policy permits it'}"
        return None


def _entity(kind: str, name: str) -> str:
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'{kind}::"{escaped}"'


def _tag(tag: Tag) -> dict[str, Any]:
    return _known(
        {
            "level": int(tag.level),
            "categories": sorted(tag.categories),
            "regions": None if tag.regions is None else sorted(tag.regions),
            "purposes": None if tag.purposes is None else sorted(tag.purposes),
            "tenants": sorted(tag.tenants),
            "subjects": sorted(tag.subjects),
            "no_train": tag.no_train,
            "zero_retention": tag.zero_retention,
            "integrity": tag.integrity.value,
        }
    )


def _clearance(clearance: Clearance) -> dict[str, Any]:
    # Cedar knows whole numbers of 64 bits only; what is kept for a part of a second is kept for one.
    kept = clearance.retention_seconds
    return _known(
        {
            "max_level": int(clearance.max_level),
            "categories": sorted(clearance.categories),
            "processing_regions": sorted(clearance.processing_regions),
            "purposes": None if clearance.purposes is None else sorted(clearance.purposes),
            "tenants": None if clearance.tenants is None else sorted(clearance.tenants),
            "trains": clearance.trains,
            "retention_seconds": None if kept is None or not isfinite(kept) else min(-int(-kept // 1), _LARGEST),
            "endpoint": clearance.endpoint,
            "version": clearance.version,
        }
    )


def _known(table: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in table.items() if value is not None}
