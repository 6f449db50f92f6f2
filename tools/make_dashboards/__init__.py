"""Makes the dashboards that ship with `session_router_otel` from one list of questions."""
