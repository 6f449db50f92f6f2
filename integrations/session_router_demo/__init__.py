"""The demo of the command line: real agents, routed through invented sessions. `session-router demo` runs it.

Needs the extra `demo`.
"""

from session_router_demo.demo import run_configured, run_simulated

__all__ = ["run_configured", "run_simulated"]
