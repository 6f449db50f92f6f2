"""One request and its answer, the same for all three APIs."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from starlette.requests import Request
from starlette.responses import Response

from session_router.testing.providers.behaviour import ScriptExhaustedError
from session_router.testing.providers.canaries import Canaries
from session_router.testing.providers.clock import SimulatedClock
from session_router.testing.providers.dialect import Dialect, Drafting, ModelRequest
from session_router.testing.providers.faults import Fault, Faults
from session_router.testing.providers.identifiers import Identifiers
from session_router.testing.providers.ledger import Ledger, LedgerRow
from session_router.testing.providers.models import SimulatedModel
from session_router.testing.providers.prefix_cache import AutomaticPrefixCache, BreakpointPrefixCache
from session_router.testing.providers.prompt import Prompt
from session_router.testing.providers.records import AccountRecords
from session_router.testing.providers.refusal import Refusal, first_breach
from session_router.testing.providers.reply import STOCK_THINKING, Reply
from session_router.testing.providers.signatures import Signatures
from session_router.testing.providers.tokens import Usage, count_tokens
from session_router.testing.providers.transport import broken_body, event_stream, json_body
from session_router.testing.providers.wire import JsonObject, as_object, as_text, canonical, objects


@dataclass(kw_only=True, slots=True)
class ProviderState:
    """Everything that lives as long as a simulator.

    Attributes:
        models: The served models by every id that clients may ask for.
        accounts: Account by API key; `None` makes every key an account of its own.
        clock: The time.
        faults: What goes wrong.
        ledger: What happened.
        signatures: The seals.
        identifiers: The source of ids.
        canaries: Who looks for data that a model may not see; `None` for nobody.
        records: What is remembered of each account.
        caches: The prompt cache of each provider.
    """

    models: Mapping[str, SimulatedModel]
    accounts: Mapping[str, str] | None
    clock: SimulatedClock
    faults: Faults
    ledger: Ledger
    signatures: Signatures
    identifiers: Identifiers
    canaries: Canaries | None = None
    records: dict[str, AccountRecords] = field(default_factory=dict[str, AccountRecords])
    caches: Mapping[str, AutomaticPrefixCache | BreakpointPrefixCache] = field(
        default_factory=lambda: {"openai": AutomaticPrefixCache(), "anthropic": BreakpointPrefixCache()}
    )

    def account_of(self, key: str | None) -> str | None:
        """Return the account of an API key, or `None` where there is none."""
        return key if self.accounts is None or key is None else self.accounts.get(key)


@dataclass(frozen=True, kw_only=True, slots=True)
class Exchange:
    """Answers requests of one API."""

    dialect: Dialect
    state: ProviderState

    async def __call__(self, request: Request) -> Response:
        """Answer one request and write it down in the ledger."""
        row = LedgerRow(time=self.state.clock.now(), account="", api=self.dialect.name, model="", status=200)
        key = self.dialect.api_key(request.headers)
        account = self.state.account_of(key)
        if account is None:
            return self._refuse(self.dialect.no_key(key), row)
        row = replace(row, account=account)
        if refusal := self.dialect.bad_headers(request.headers):
            return self._refuse(refusal, row)
        try:
            body = as_object(json.loads(await request.body()))
        except (ValueError, RecursionError):
            body = {}
        if not body:
            return self._refuse(Refusal(message="We could not parse the JSON body of your request."), row)
        if self.state.canaries is not None:
            referred = _referred_to(body, self.state.records.get(account) or AccountRecords())
            self.state.canaries.look(body, referred, model=as_text(body.get("model")), now=self.state.clock.now)
        return await self._admit(body, row)

    async def _admit(self, body: JsonObject, row: LedgerRow) -> Response:
        name = as_text(body.get("model"))
        row = replace(row, model=name, streamed=body.get("stream") is True)
        model = self.state.models.get(name)
        if model is None or model.provider != self.dialect.provider:
            return self._refuse(self.dialect.no_model(name), row)
        fault = self.state.faults.take(model.id)
        if fault and fault.kind == "slow":
            await asyncio.sleep(fault.seconds or 0.0)
        if fault and fault.kind in {"rate_limited", "overloaded"}:
            refusal = self.dialect.rate_limited(name) if fault.kind == "rate_limited" else self.dialect.overloaded
            return self._refuse(replace(refusal, retry_after=fault.seconds), row)
        records = self.state.records.setdefault(row.account, AccountRecords())
        asked = ModelRequest(body=body, account=row.account, model=model, records=records, signatures=self.state.signatures)
        if breach := first_breach(self.dialect.rules, asked):
            return self._refuse(breach, row)
        return self._answer(asked, row, fault if fault and fault.kind == "broken" else None)

    def _answer(self, asked: ModelRequest, row: LedgerRow, broken: Fault | None) -> Response:
        segments = self.dialect.segments(asked)
        tokens = sum(segment.tokens for segment in segments)
        if tokens > asked.model.context_window:
            return self._refuse(self.dialect.too_long(tokens, asked.model.context_window), row)
        prompt = self.dialect.read(asked)
        try:
            reply = _audible(asked.model.behaviour(prompt), prompt)
        except ScriptExhaustedError as exhausted:
            return self._refuse(Refusal(message=str(exhausted), status=500, kind="api_error"), row)
        # Requests with another key reach another machine, which has not read their prefix.
        part = as_text(asked.body.get("prompt_cache_key"))
        owner = (row.account, f"{asked.model.id} {part}" if part else asked.model.id)
        usage = self.state.caches[self.dialect.provider].use(owner, segments, self.state.clock.now())
        usage = replace(usage, output=_output_tokens(reply), thinking=count_tokens(reply.thinking or ""))
        body = self.dialect.write(
            asked, Drafting(reply=reply, usage=usage, identifiers=self.state.identifiers, created=int(self.state.clock.now()))
        )
        if broken:
            return self._break(asked, body, broken, _billed(row, asked.model, usage))
        self.dialect.remember(asked, body)
        self.state.ledger.add(_billed(row, asked.model, usage))
        headers = self._request_id()
        if row.streamed:
            return event_stream(self.dialect.stream(body, asked.body), headers=headers)
        return json_body(body, headers=headers)

    def _break(self, asked: ModelRequest, body: JsonObject, fault: Fault, row: LedgerRow) -> Response:
        row = replace(row, error_type="stream_broken", error_message=f"cut {fault.at}")
        if fault.at == "before_first_token":
            row = replace(row, output=0, dollars=row.dollars - asked.model.prices.dollars(Usage(output=row.output)))
        self.state.ledger.add(row)
        if not row.streamed:
            return broken_body(headers=self._request_id())
        return event_stream(self.dialect.stream(body, asked.body), fault=fault, headers=self._request_id())

    def _refuse(self, refusal: Refusal, row: LedgerRow) -> Response:
        self.state.ledger.add(replace(row, status=refusal.status, error_type=refusal.kind, error_message=refusal.message))
        headers = self._request_id()
        body = self.dialect.error(refusal, headers[self.dialect.request_id_header])
        if refusal.retry_after is not None:
            headers["retry-after"] = f"{refusal.retry_after:g}"
        return json_body(body, status=refusal.status, headers=headers)

    def _request_id(self) -> dict[str, str]:
        return {self.dialect.request_id_header: self.state.identifiers.new("req_")}


def _referred_to(body: JsonObject, records: AccountRecords) -> tuple[JsonObject, ...]:
    """Return what a request makes the model read of what the provider has stored."""
    items = [records.items[name].item for one in objects(body.get("input")) if (name := as_text(one.get("id"))) in records.items]
    return (*records.responses.get(as_text(body.get("previous_response_id")), ()), *items)


def _audible(reply: Reply, prompt: Prompt) -> Reply:
    """Drop thinking that nobody asked for, and think where it was asked for."""
    thinking = (reply.thinking or STOCK_THINKING) if prompt.thinking else None
    return replace(reply, thinking=thinking)


def _output_tokens(reply: Reply) -> int:
    """Return the tokens of all that was generated, by the rule of the `tokens` module."""
    parts = [
        reply.text,
        reply.thinking or "",
        *(call.name + canonical(dict(call.arguments)) for call in reply.tool_calls),
        *(search.query for search in reply.searches),
        *(item.type + canonical(dict(item.fields)) for item in reply.client_items),
    ]
    return sum(count_tokens(part) for part in parts)


def _billed(row: LedgerRow, model: SimulatedModel, usage: Usage) -> LedgerRow:
    return replace(
        row,
        uncached_input=usage.uncached_input,
        cached_input=usage.cached_input,
        cache_written=usage.written,
        output=usage.output,
        dollars=model.prices.dollars(usage),
    )
