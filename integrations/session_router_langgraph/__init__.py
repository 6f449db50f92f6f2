"""Routing for LangGraph: a router node, and a dynamic model for `create_react_agent`."""

from session_router_langgraph.node import create_router_node
from session_router_langgraph.selector import model_selector
from session_router_langgraph.state import RouterState

__all__ = ["RouterState", "create_router_node", "model_selector"]
