"""What an error of a chat model says of its endpoint, whichever provider's package raised it."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from math import isfinite
from typing import TYPE_CHECKING, Any, Final

from session_router.core.health import Failure, FailureKind

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_RATE_LIMITED: Final = 429
_TIMED_OUT: Final = 408
_SERVER, _CLIENT, _BEYOND = 500, 400, 600
_TIMEOUTS: Final = ("Timeout", "DeadlineExceeded")
_CONNECTIONS: Final = ("APIConnectionError", "ConnectError", "ReadError", "WriteError", "RemoteProtocolError", "ProtocolError")
_DEPTH: Final = 8
"""Errors behind errors are looked at up to here."""


def failure_in(error: BaseException, *, at: float) -> Failure | None:
    """Say how a call failed; `None` for what says nothing of an endpoint, such as a mistake in code.

    Args:
        error: What the chat model raised.
        at: POSIX seconds, for providers that name a date.
    """
    for one in _chain(error):
        if (status := _status(one)) is not None:
            return _by_status(status, _retry_after(one, at))
        if (kind := _by_kind(one)) is not None:
            return Failure(kind=kind)
    return None


def _chain(error: BaseException) -> Iterator[BaseException]:
    one: BaseException | None = error
    for _ in range(_DEPTH):
        if one is None:
            return
        yield one
        one = one.__cause__


def _status(error: BaseException) -> int | None:
    """Return the HTTP status that an error stands for."""
    response = _read(error, "response")
    for owner, name in ((error, "status_code"), (error, "code"), (response, "status_code"), (error, "status")):
        value = _read(owner, name)
        if isinstance(value, int) and not isinstance(value, bool) and _CLIENT <= value < _BEYOND:
            return int(value)
    return None


def _by_status(status: int, retry_after: float | None) -> Failure:
    if status == _RATE_LIMITED:
        return Failure(kind=FailureKind.RATE_LIMITED, retry_after=retry_after)
    if status == _TIMED_OUT:
        return Failure(kind=FailureKind.TIMED_OUT, retry_after=retry_after)
    if status >= _SERVER:
        return Failure(kind=FailureKind.OVERLOADED, retry_after=retry_after)
    return Failure(kind=FailureKind.REFUSED)


def _by_kind(error: BaseException) -> FailureKind | None:
    names = [kind.__name__ for kind in type(error).__mro__]
    if isinstance(error, TimeoutError) or any(part in name for name in names for part in _TIMEOUTS):
        return FailureKind.TIMED_OUT
    if isinstance(error, ConnectionError) or any(name in _CONNECTIONS for name in names):
        return FailureKind.BROKEN
    return None


def _retry_after(error: BaseException, at: float) -> float | None:
    headers: Mapping[str, Any] | None = _read(_read(error, "response"), "headers")
    if headers is None:
        return None
    with suppress(TypeError, ValueError, AttributeError):
        if (precise := _number(headers.get("retry-after-ms"))) is not None:
            return precise / 1000
        said = headers.get("retry-after")
        return _number(said) if _number(said) is not None else _until(said, at)
    return None


def _number(text: object) -> float | None:
    try:
        value = float(text)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType] -- whatever a header holds
    except (TypeError, ValueError):
        return None
    return value if isfinite(value) and value >= 0 else None


def _until(text: object, at: float) -> float | None:
    if not isinstance(text, str):
        return None
    date = parsedate_to_datetime(text)
    when = date if date.tzinfo is not None else date.replace(tzinfo=UTC)
    return max(0.0, (when - datetime.fromtimestamp(at, UTC)).total_seconds())


def _read(owner: object, name: str) -> Any:  # noqa: ANN401 -- errors of any package
    try:
        return getattr(owner, name, None)
    except Exception:  # noqa: BLE001 -- as in `endpoints`
        return None
