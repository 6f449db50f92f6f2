"""Every string that leaves the process: names of spans, events, attributes and metrics.

The GenAI conventions are in development and the constants of the published package are deprecated, so their strings stand here.
Names of our own begin with `session_router.`.
"""

from __future__ import annotations

from typing import Final

SCOPE: Final = "session_router_otel"
SCHEMA: Final = 1
"""Version of our own names; it rises when one changes its meaning."""

# Spans

ROUTE: Final = "session_router.route"
INVOKE_AGENT: Final = "invoke_agent"
CHAT: Final = "chat"

# Events on a route span

LOCK_ACQUIRED: Final = "lock.acquired"
LOCK_RELEASED: Final = "lock.released"
CACHE_LOOKUP: Final = "cache.lookup"
FALLBACK: Final = "fallback"

# Attributes of the conventions

OPERATION_NAME: Final = "gen_ai.operation.name"
PROVIDER_NAME: Final = "gen_ai.provider.name"
REQUEST_MODEL: Final = "gen_ai.request.model"
RESPONSE_MODEL: Final = "gen_ai.response.model"
FINISH_REASONS: Final = "gen_ai.response.finish_reasons"
CONVERSATION_ID: Final = "gen_ai.conversation.id"
AGENT_NAME: Final = "gen_ai.agent.name"
INPUT_TOKENS: Final = "gen_ai.usage.input_tokens"
OUTPUT_TOKENS: Final = "gen_ai.usage.output_tokens"
CACHE_READ_TOKENS: Final = "gen_ai.usage.cache_read.input_tokens"
CACHE_CREATION_TOKENS: Final = "gen_ai.usage.cache_creation.input_tokens"
REASONING_TOKENS: Final = "gen_ai.usage.reasoning.output_tokens"
INPUT_MESSAGES: Final = "gen_ai.input.messages"
OUTPUT_MESSAGES: Final = "gen_ai.output.messages"
TOKEN_TYPE: Final = "gen_ai.token.type"  # noqa: S105 -- tokens of a language model
ERROR_TYPE: Final = "error.type"
SERVER_ADDRESS: Final = "server.address"
SERVER_PORT: Final = "server.port"

# Attributes of OpenInference, which Phoenix reads

SPAN_KIND: Final = "openinference.span.kind"
CHAIN, AGENT, LLM = "CHAIN", "AGENT", "LLM"
SESSION_ID: Final = "session.id"
"""Also the key under which the session id stands in the context: OpenInference's `using_session` uses the same one."""
INPUT_VALUE: Final = "input.value"
OUTPUT_VALUE: Final = "output.value"

# Attributes of ours

DECISION: Final = "session_router.decision"
DECISION_ID: Final = "session_router.decision_id"
MODEL_SELECTED: Final = "session_router.model.selected"
MODEL_PREVIOUS: Final = "session_router.model.previous"
REASON: Final = "session_router.reason"
POLICY: Final = "session_router.policy"
LOCK_STATE: Final = "session_router.lock.state"
LOCK_EVENT: Final = "session_router.lock.event"
CANDIDATES: Final = "session_router.candidates"
SCORES: Final = "session_router.scores"
TURN_INDEX: Final = "session_router.turn.index"
CALL_INDEX: Final = "session_router.call.index"
TOKENS: Final = "session_router.tokens"
CACHE_RESULT: Final = "session_router.cache.result"
CACHE_REASON: Final = "session_router.cache.reason"
CACHE_CATEGORY: Final = "session_router.cache.category"
CACHE_STATE: Final = "session_router.cache.state"
CACHE_SIMILARITY: Final = "session_router.cache.similarity"
GOVERNANCE_TAGS: Final = "session_router.governance.tags"
COST_EXPECTED: Final = "session_router.cost.expected"
COST_CANDIDATES: Final = "session_router.cost.candidates"
COST_SAVED: Final = "session_router.cost.saved"
COST_BILLED: Final = "session_router.cost.billed"
COST_BASIS: Final = "session_router.cost.basis"
TRUSTED: Final = "session_router.forecast.trusted"
DEGRADED: Final = "session_router.degraded"
INTERNAL: Final = "session_router.internal"
FAILED_MODEL: Final = "session_router.model.failed"

AT_A_BOUNDARY: Final = "boundary"
"""The lock state of a call at which the model may change."""

# Metrics

DECISIONS: Final = "session_router.decisions"
SWITCHES: Final = "session_router.switches"
LOCKS: Final = "session_router.locks"
CACHE_LOOKUPS: Final = "session_router.cache.lookups"
CACHE_CERTIFIED_ERROR: Final = "session_router.cache.certified_error"
CACHE_STRATA: Final = "session_router.cache.strata"
REFUSALS: Final = "session_router.refusals"
OVERHEAD: Final = "session_router.overhead"
COST: Final = "session_router.cost"
SAVED: Final = "session_router.cost.saved"
OPERATION_DURATION: Final = "gen_ai.client.operation.duration"
TOKEN_USAGE: Final = "gen_ai.client.token.usage"  # noqa: S105 -- as above

# Environment

CAPTURE_CONTENT: Final = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
