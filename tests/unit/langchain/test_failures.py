"""What an error of a chat model says of its endpoint."""

from __future__ import annotations

from typing import Any

import anthropic
import httpx
import openai
import pytest

from session_router.core.health import Failure, FailureKind
from session_router_langchain.failures import failure_in

AT = 784_111_777.0  # Sun, 06 Nov 1994 08:49:37 GMT
REQUEST = httpx.Request("POST", "https://provider.example")


def refused(kind: Any, status: int, **headers: str) -> Exception:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    error: Exception = kind("no", response=httpx.Response(status, headers=named, request=REQUEST), body=None)
    return error


class Strange(Exception):
    @property
    def status_code(self) -> int:
        raise RuntimeError


class GoogleError(Exception):
    code = 503


@pytest.mark.parametrize(
    ("error", "kind", "seconds"),
    [
        (refused(openai.RateLimitError, 429), FailureKind.RATE_LIMITED, None),
        (refused(openai.RateLimitError, 429, retry_after="7"), FailureKind.RATE_LIMITED, 7.0),
        (refused(openai.RateLimitError, 429, retry_after="7", retry_after_ms="1500"), FailureKind.RATE_LIMITED, 1.5),
        (refused(anthropic.RateLimitError, 429, retry_after="Sun, 06 Nov 1994 08:50:07 GMT"), FailureKind.RATE_LIMITED, 30.0),
        (refused(anthropic.RateLimitError, 429, retry_after="Sun, 06 Nov 1994 08:49:07 GMT"), FailureKind.RATE_LIMITED, 0.0),
        (refused(openai.RateLimitError, 429, retry_after="soon"), FailureKind.RATE_LIMITED, None),
        (refused(openai.RateLimitError, 429, retry_after="nan"), FailureKind.RATE_LIMITED, None),
        (refused(openai.RateLimitError, 429, retry_after="-3"), FailureKind.RATE_LIMITED, None),
        (refused(openai.InternalServerError, 503, retry_after="2"), FailureKind.OVERLOADED, 2.0),
        (refused(anthropic.InternalServerError, 529), FailureKind.OVERLOADED, None),
        (refused(openai.APIStatusError, 408), FailureKind.TIMED_OUT, None),
        (refused(openai.BadRequestError, 400), FailureKind.REFUSED, None),
        (refused(openai.AuthenticationError, 401), FailureKind.REFUSED, None),
        (openai.APITimeoutError(REQUEST), FailureKind.TIMED_OUT, None),
        (openai.APIConnectionError(request=REQUEST), FailureKind.BROKEN, None),
        (httpx.RemoteProtocolError("peer closed connection"), FailureKind.BROKEN, None),
        (httpx.ReadTimeout("late"), FailureKind.TIMED_OUT, None),
        (TimeoutError(), FailureKind.TIMED_OUT, None),
        (ConnectionResetError(), FailureKind.BROKEN, None),
        (GoogleError(), FailureKind.OVERLOADED, None),
    ],
)
def test_what_says_something_of_an_endpoint(error: Exception, kind: FailureKind, seconds: float | None) -> None:
    assert failure_in(error, at=AT) == Failure(kind=kind, retry_after=seconds)


@pytest.mark.parametrize("error", [ValueError("503"), KeyError(429), Strange(), RuntimeError()])
def test_what_says_nothing(error: Exception) -> None:
    assert failure_in(error, at=AT) is None


def test_the_cause_of_an_error_counts_and_a_ring_of_them_ends() -> None:
    outer = RuntimeError("the model failed")
    outer.__cause__ = refused(openai.InternalServerError, 500)
    assert failure_in(outer, at=AT) == Failure(kind=FailureKind.OVERLOADED)
    one, other = RuntimeError(), RuntimeError()
    one.__cause__, other.__cause__ = other, one
    assert failure_in(one, at=AT) is None
