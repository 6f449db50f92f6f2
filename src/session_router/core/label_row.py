"""Tags and clearances as plain values, at rest and on the way: nothing is lost, and what cannot be read forbids."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Any, Final, cast

from session_router.core.governance import TOP, Clearance, Integrity, Level, Tag
from session_router.core.plain import text_in
from session_router.errors import ConfigurationError, UnreadableLabel

if TYPE_CHECKING:
    from collections.abc import Mapping

SCHEMA: Final = 1
"""Version of the plain forms. Readers refuse what they do not know."""

_NEVER, _ALWAYS = "never", "always"
TAG_FIELDS: Final = (
    "schema",
    "level",
    "categories",
    "regions",
    "purposes",
    "tenants",
    "subjects",
    "expires_at",
    "no_train",
    "zero_retention",
    "integrity",
)
"""Names of the plain form of a tag, in their order."""
_TAG: Final = frozenset(TAG_FIELDS)
_CLEARANCE: Final = frozenset(
    {
        "schema",
        "max_level",
        "categories",
        "processing_regions",
        "purposes",
        "tenants",
        "trains",
        "retention_seconds",
        "endpoint",
        "attested_until",
        "version",
    }
)


def tag_to_plain(tag: Tag) -> dict[str, Any]:
    """Return JSON-ready values. Every field is there: what is missing later was lost, and does not mean unrestricted."""
    return {
        "schema": SCHEMA,
        "level": tag.level.name.lower(),
        "categories": sorted(tag.categories),
        "regions": _list(tag.regions),
        "purposes": _list(tag.purposes),
        "tenants": sorted(tag.tenants),
        "subjects": sorted(tag.subjects),
        "expires_at": _moment(tag.expires_at),
        "no_train": tag.no_train,
        "zero_retention": tag.zero_retention,
        "integrity": tag.integrity.value,
    }


def facts_to_plain(tag: Tag) -> dict[str, Any]:
    """Return `tag_to_plain` without whom it is about: an audit log keeps that apart, where it can be erased."""
    plain = tag_to_plain(tag)
    del plain["subjects"]
    return plain


def tag_from_plain(plain: object) -> Tag:
    """Read back what `tag_to_plain` wrote.

    Raises:
        UnreadableLabel: It is something else, of another schema, or something of it is missing.
    """
    table = _table(plain, _TAG, "tag")
    try:
        return Tag(
            level=Level[text_in(table["level"]).upper()],
            categories=_names(table["categories"]),
            regions=_names_or_none(table["regions"]),
            purposes=_names_or_none(table["purposes"]),
            tenants=_names(table["tenants"]),
            subjects=_names(table["subjects"]),
            expires_at=_seconds(table["expires_at"]),
            no_train=table["no_train"],
            zero_retention=table["zero_retention"],
            integrity=Integrity(text_in(table["integrity"])),
        )
    except (KeyError, TypeError, ValueError, ConfigurationError) as error:
        raise UnreadableLabel(kind="tag", why=type(error).__name__) from error


def tag_of(label: object) -> Tag:
    """Read a label, whoever wrote it: a `Tag`, or its plain form. What is neither is top, which nobody may see."""
    if isinstance(label, Tag):
        return label
    try:
        return tag_from_plain(label)
    except UnreadableLabel:
        return TOP


def clearance_to_plain(clearance: Clearance) -> dict[str, Any]:
    """Return JSON-ready values; every field is there."""
    return {
        "schema": SCHEMA,
        "max_level": clearance.max_level.name.lower(),
        "categories": sorted(clearance.categories),
        "processing_regions": sorted(clearance.processing_regions),
        "purposes": _list(clearance.purposes),
        "tenants": _list(clearance.tenants),
        "trains": clearance.trains,
        "retention_seconds": _moment(clearance.retention_seconds),
        "endpoint": clearance.endpoint,
        "attested_until": _moment(clearance.attested_until),
        "version": clearance.version,
    }


def clearance_from_plain(plain: object) -> Clearance:
    """Read back what `clearance_to_plain` wrote.

    Raises:
        UnreadableLabel: It is something else, of another schema, or something of it is missing.
    """
    table = _table(plain, _CLEARANCE, "clearance")
    try:
        return Clearance(
            max_level=Level[text_in(table["max_level"]).upper()],
            categories=_names(table["categories"]),
            processing_regions=_names(table["processing_regions"]),
            purposes=_names_or_none(table["purposes"]),
            tenants=_names_or_none(table["tenants"]),
            trains=table["trains"],
            retention_seconds=_seconds(table["retention_seconds"]),
            endpoint=text_in(table["endpoint"]),
            attested_until=_seconds(table["attested_until"]),
            version=text_in(table["version"]),
        )
    except (KeyError, TypeError, ValueError, ConfigurationError) as error:
        raise UnreadableLabel(kind="clearance", why=type(error).__name__) from error


def clearance_of(label: object) -> Clearance | None:
    """Read a clearance, whoever wrote it. What is none is `None`, which may see nothing."""
    if isinstance(label, Clearance):
        return label
    try:
        return clearance_from_plain(label)
    except UnreadableLabel:
        return None


def _table(plain: object, names: frozenset[str], kind: str) -> Mapping[str, Any]:
    if not isinstance(plain, dict):
        raise UnreadableLabel(kind=kind, why=type(plain).__name__)
    table = cast("dict[str, Any]", plain)
    schema: object = table.get("schema")
    if type(schema) is not int or schema != SCHEMA:
        raise UnreadableLabel(kind=kind, why="another schema")
    # A field that this release does not know may restrict.
    if table.keys() != names:
        raise UnreadableLabel(kind=kind, why="fields are missing, or not known")
    return table


def _list(names: frozenset[str] | None) -> list[str] | None:
    return None if names is None else sorted(names)


def _names(value: object) -> frozenset[str]:
    if not isinstance(value, list):
        raise TypeError
    return frozenset(map(text_in, cast("list[object]", value)))


def _names_or_none(value: object) -> frozenset[str] | None:
    return None if value is None else _names(value)


def _moment(seconds: float | None) -> float | str | None:
    # JSON has no infinities.
    return {inf: _NEVER, -inf: _ALWAYS}.get(seconds, seconds) if seconds is not None else None


def _seconds(value: object) -> float | None:
    if value is None or value in (_NEVER, _ALWAYS):
        return None if value is None else inf if value == _NEVER else -inf
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError
    return value
