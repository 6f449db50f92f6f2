"""What an operator wants to see at a glance, as queries of Prometheus over our metrics."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """One query.

    Attributes:
        expression: In PromQL.
        legend: Labels that name a series, in order; empty for one series without a name.
        name: What the series are; put before the labels.
    """

    expression: str
    legend: tuple[str, ...] = ()
    name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One question.

    Attributes:
        title: The question.
        about: What one must know to read the answer.
        unit: As Grafana names units.
        queries: Whose answers are shown together.
    """

    title: str
    about: str
    unit: str
    queries: tuple[Query, ...]


DECISION, REASON = "session_router_decision", "session_router_reason"
SELECTED, PREVIOUS = "session_router_model_selected", "session_router_model_previous"


def _hourly(metric: str, *labels: str, of: str = "") -> str:
    return f"sum by ({', '.join(labels)}) (increase({metric}{of}[1h]))"


def _quantile(share: float, metric: str, *labels: str) -> str:
    return f"histogram_quantile({share}, sum by ({', '.join(('le', *labels))}) (rate({metric}_bucket[5m])))"


PANELS: Final = (
    Panel(
        title="Decisions a minute",
        about="What happened to the model of each call.",
        unit="short",
        queries=(Query(expression=f"sum by ({DECISION}) (rate(session_router_decisions_total[5m])) * 60", legend=(DECISION,)),),
    ),
    Panel(
        title="Switches, and why",
        about="In the last hour, from which model to which. A forced switch took a loop from a model that lost its clearance.",
        unit="short",
        queries=(
            Query(
                expression=_hourly("session_router_switches_total", PREVIOUS, SELECTED, DECISION, REASON),
                legend=(PREVIOUS, SELECTED, DECISION, REASON),
            ),
        ),
    ),
    Panel(
        title="Calls under a lock",
        about="Share of all calls at which the model must stay, by the reason of the lock.",
        unit="percentunit",
        queries=(
            Query(
                expression=(
                    'sum by (session_router_lock_state) (rate(session_router_decisions_total{session_router_lock_state!="boundary"}[5m]))'
                    " / scalar(sum(rate(session_router_decisions_total[5m])))"
                ),
                legend=("session_router_lock_state",),
            ),
        ),
    ),
    Panel(
        title="Locks acquired and released",
        about="In the last hour, as far as calls showed it: the lock of a session that says no more stays acquired.",
        unit="short",
        queries=(
            Query(expression=_hourly("session_router_locks_total", "session_router_lock_event"), legend=("session_router_lock_event",)),
        ),
    ),
    Panel(
        title="Dollars by model",
        about="In the last hour. Billed: usage as providers counted it, at configured prices. Expected: what decisions estimated for the "
        "same calls, and for those whose outcome nobody reports.",
        unit="currencyUSD",
        queries=(
            Query(
                expression=_hourly("session_router_cost_USD_total", SELECTED, "session_router_cost_basis"),
                legend=(SELECTED, "session_router_cost_basis"),
            ),
        ),
    ),
    Panel(
        title="Dollars saved, by estimate",
        about="In the last hour: what staying on the session's model was expected to cost, less what the choice was. It assumes the "
        "forecast of each segment and prices bad answers by the stake; nobody has measured it. Stored answers: what they cost once.",
        unit="currencyUSD",
        queries=(Query(expression=f"sum by ({DECISION}) (delta(session_router_cost_saved_USD[1h]))", legend=(DECISION,)),),
    ),
    Panel(
        title="Look-ups in the response cache",
        about="A minute, by result and by the tier that hit or the reason of the miss.",
        unit="short",
        queries=(
            Query(
                expression=(
                    "sum by (session_router_cache_result, session_router_cache_reason) (rate(session_router_cache_lookups_total[5m])) * 60"
                ),
                legend=("session_router_cache_result", "session_router_cache_reason"),
            ),
        ),
    ),
    Panel(
        title="Cache hits and certified error",
        about="Share of look-ups that hit, and the share of wrong answers per hit that certificates allow, by category.",
        unit="percentunit",
        queries=(
            Query(
                expression=(
                    'sum(rate(session_router_cache_lookups_total{session_router_cache_result="hit"}[5m]))'
                    " / sum(rate(session_router_cache_lookups_total[5m]))"
                ),
                name="hits",
            ),
            Query(
                expression="max by (session_router_cache_category) (session_router_cache_certified_error)",
                legend=("session_router_cache_category",),
                name="certified error",
            ),
        ),
    ),
    Panel(
        title="Refusals by label",
        about="In the last hour, by the labels of what nobody may see.",
        unit="short",
        queries=(
            Query(
                expression=_hourly("session_router_refusals_total", "session_router_governance_tags", REASON),
                legend=("session_router_governance_tags", REASON),
            ),
        ),
    ),
    Panel(
        title="Overhead of a decision",
        about="From the request to the decision: store, scorer and embedder included.",
        unit="s",
        queries=(
            Query(expression=_quantile(0.5, "session_router_overhead_seconds"), name="p50"),
            Query(expression=_quantile(0.99, "session_router_overhead_seconds"), name="p99"),
        ),
    ),
    Panel(
        title="Errors by endpoint",
        about="Failed calls in the last hour.",
        unit="short",
        queries=(
            Query(
                expression=_hourly(
                    "gen_ai_client_operation_duration_seconds_count",
                    "gen_ai_provider_name",
                    "gen_ai_request_model",
                    "server_address",
                    "error_type",
                    of='{error_type!=""}',
                ),
                legend=("gen_ai_provider_name", "gen_ai_request_model", "server_address", "error_type"),
            ),
        ),
    ),
    Panel(
        title="Seconds of a call",
        about="From the decision to the end of the answer.",
        unit="s",
        queries=(
            Query(
                expression=_quantile(0.5, "gen_ai_client_operation_duration_seconds", "gen_ai_request_model"),
                legend=("gen_ai_request_model",),
                name="p50",
            ),
            Query(
                expression=_quantile(0.99, "gen_ai_client_operation_duration_seconds", "gen_ai_request_model"),
                legend=("gen_ai_request_model",),
                name="p99",
            ),
        ),
    ),
    Panel(
        title="Tokens by model",
        about="In the last hour, as providers counted them.",
        unit="short",
        queries=(
            Query(
                expression=_hourly("gen_ai_client_token_usage_sum", "gen_ai_request_model", "gen_ai_token_type"),
                legend=("gen_ai_request_model", "gen_ai_token_type"),
            ),
        ),
    ),
)
