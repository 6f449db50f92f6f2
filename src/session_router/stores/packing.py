"""The plain form of a session as bytes: JSON that anybody can read, or its values alone, for servers that hold many in memory."""

from __future__ import annotations

import json
from dataclasses import dataclass
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final, cast

from ormsgpack import packb, unpackb
from pydantic_core import from_json, to_json

from session_router.core.label_row import TAG_FIELDS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class Packing:
    """One way to write the plain form of a session.

    Attributes:
        name: What goes by it.
        packed: Writes.
        unpacked: Reads what `packed` wrote. Raises `ValueError`, `TypeError` or `RecursionError` for what it never writes.
    """

    name: str
    packed: Callable[[Mapping[str, Any]], bytes]
    unpacked: Callable[[bytes], Any]


def _to_json(plain: object) -> bytes:
    try:
        # In a quarter of the time that `json` takes.
        return to_json(plain)
    except ValueError:
        # Half of a surrogate pair, in a name that somebody else gave.
        return json.dumps(plain, separators=(",", ":"), allow_nan=False).encode("ascii")


def _of_json(payload: bytes) -> Any:  # noqa: ANN401 -- whatever JSON holds
    try:
        return from_json(payload, allow_inf_nan=False)
    except ValueError:
        return json.loads(payload)


JSON: Final = Packing(name="JSON", packed=_to_json, unpacked=_of_json)


SESSION_FIELDS: Final = (
    "schema",
    "id",
    "version",
    "current",
    "lock",
    "closed",
    "visits",
    "turn",
    "call",
    "switches",
    "switched_at",
    "account",
    "tag",
    "exposures",
    "before",
    "readings",
)
LOCK_FIELDS: Final = ("kind", "model", "waiting_for")
ACCOUNT_FIELDS: Final = (
    "habits",
    "drift",
    "number",
    "segment",
    "ledger",
    "work",
    "quiet",
    "explored",
    "beliefs",
    "marks",
    "upgrades",
)
BEFORE_FIELDS: Final = ("account", "current", "switches", "switched_at", "model", "visit")

_of_session, _of_lock, _of_account, _of_before, _of_tag = (
    itemgetter(*fields) for fields in (SESSION_FIELDS, LOCK_FIELDS, ACCOUNT_FIELDS, BEFORE_FIELDS, TAG_FIELDS)
)


def _to_values(plain: Mapping[str, Any]) -> bytes:
    lock, account, before, tag = plain["lock"], plain["account"], plain["before"], plain["tag"]
    values = _of_session(
        {
            **plain,
            "lock": lock and _of_lock(lock),
            "account": account and _of_account(account),
            "before": before and _of_before({**before, "account": _of_account(before["account"])}),
            "tag": tag and _of_tag(tag),
            "exposures": [[model, _of_tag(tag), *rest] for model, tag, *rest in plain["exposures"]],
            "readings": [[_of_tag(tag), *rest] for tag, *rest in plain["readings"]],
        }
    )
    try:
        return packb(values)
    except TypeError:
        # As above, or a number that is too large. No array of MessagePack begins as one of JSON does.
        return _to_json(values)


def _of_values(payload: bytes) -> dict[str, Any]:
    plain = _named(SESSION_FIELDS, _of_json(payload) if payload.startswith(b"[") else unpackb(payload))
    for name, fields in (("lock", LOCK_FIELDS), ("account", ACCOUNT_FIELDS), ("before", BEFORE_FIELDS)):
        if plain[name] is not None:
            plain[name] = _named(fields, plain[name])
    if plain["before"] is not None:
        plain["before"]["account"] = _named(ACCOUNT_FIELDS, plain["before"]["account"])
    plain["tag"] = _tag(plain["tag"])
    plain["exposures"] = [[model, _tag(tag), *rest] for model, tag, *rest in plain["exposures"]]
    plain["readings"] = [[_tag(tag), *rest] for tag, *rest in plain["readings"]]
    return plain


def _named(fields: tuple[str, ...], values: object) -> dict[str, Any]:
    if not isinstance(values, list):
        msg = f"found {type(values).__name__} where a list of values belongs"
        raise TypeError(msg)
    return dict(zip(fields, cast("list[object]", values), strict=True))


def _tag(values: object) -> object:
    try:
        return values and _named(TAG_FIELDS, values)
    except (TypeError, ValueError):
        # A label that has other fields in another release is no reason to lose the row: left as it is, it cannot be read, and forbids.
        return values


VALUES: Final = Packing(name="MessagePack", packed=_to_values, unpacked=_of_values)
"""The values of a session in the order of their names, which are left out: half the bytes of JSON, and half its time."""
