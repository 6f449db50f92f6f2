"""What was asked, what was answered, and what it cost."""

import threading
from dataclasses import dataclass
from typing import Literal, TypeAlias

ApiName: TypeAlias = Literal["openai_chat", "openai_responses", "anthropic_messages"]

_BAD_REQUEST, _RATE_LIMITED, _SERVER_ERROR = 400, 429, 500


@dataclass(frozen=True, kw_only=True, slots=True)
class LedgerRow:
    """One request.

    Attributes:
        time: When it came in, in seconds since the Unix epoch by the simulated clock.
        account: The account that the API key belongs to; empty where there was none.
        api: The API that was called.
        model: The model id that was asked for.
        status: The HTTP status of the answer.
        error_type: The provider's error type; `stream_broken` where a fault cut the answer; `None` for a success.
        error_message: What the provider said about the error, or `None`.
        streamed: Whether the client asked for a stream.
        uncached_input: Input tokens read at the full price.
        cached_input: Input tokens read from the prefix cache.
        cache_written: Input tokens written to the prefix cache.
        output: Output tokens. A stream that is cut before its first token has none; one cut later is billed whole.
        dollars: US dollars.
    """

    time: float
    account: str
    api: ApiName
    model: str
    status: int
    error_type: str | None = None
    error_message: str | None = None
    streamed: bool = False
    uncached_input: int = 0
    cached_input: int = 0
    cache_written: int = 0
    output: int = 0
    dollars: float = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class LedgerTotals:
    """Sums over rows; `dollars` in US dollars, the rest in tokens or requests."""

    requests: int = 0
    uncached_input: int = 0
    cached_input: int = 0
    cache_written: int = 0
    output: int = 0
    dollars: float = 0.0


class Ledger:
    """Every request in the order in which it was answered. Safe to read from any thread."""

    def __init__(self) -> None:
        """Start empty."""
        self._lock = threading.Lock()
        self._rows: list[LedgerRow] = []

    def add(self, row: LedgerRow) -> None:
        """Append one row."""
        with self._lock:
            self._rows.append(row)

    @property
    def rows(self) -> tuple[LedgerRow, ...]:
        """Return all rows so far."""
        with self._lock:
            return tuple(self._rows)

    def clear(self) -> None:
        """Forget all rows."""
        with self._lock:
            self._rows.clear()

    def totals(self, *, account: str | None = None, model: str | None = None) -> LedgerTotals:
        """Return sums over all rows, or over those of one account, one requested model, or both."""
        rows = [row for row in self.rows if account in {None, row.account} and model in {None, row.model}]
        return LedgerTotals(
            requests=len(rows),
            uncached_input=sum(row.uncached_input for row in rows),
            cached_input=sum(row.cached_input for row in rows),
            cache_written=sum(row.cache_written for row in rows),
            output=sum(row.output for row in rows),
            dollars=sum(row.dollars for row in rows),
        )

    @property
    def client_errors(self) -> int:
        """Return how many requests were answered with a 4xx, rate limits included."""
        return sum(_BAD_REQUEST <= row.status < _SERVER_ERROR for row in self.rows)

    @property
    def bad_requests(self) -> int:
        """Return how many requests broke a rule of the API: 4xx other than 429."""
        return self.client_errors - sum(row.status == _RATE_LIMITED for row in self.rows)
