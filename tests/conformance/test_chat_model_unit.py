"""LangChain's standard unit suite on the routing chat model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from langchain_anthropic import ChatAnthropic
from langchain_openai import ChatOpenAI
from langchain_tests.unit_tests import ChatModelUnitTests

from session_router import Prices, Router
from session_router_langchain import SessionRouterChatModel

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel


class TestUnitSuite(ChatModelUnitTests):
    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return SessionRouterChatModel

    @property
    def chat_model_params(self) -> dict[str, Any]:
        routes = {
            "fast": ChatOpenAI(model="gpt-5-mini", api_key="key"),
            "strong": ChatAnthropic(model_name="claude-opus-4-5", api_key="key"),
        }
        return {"router": Router(routes, prices=dict.fromkeys(routes, Prices(input=1.0, output=4.0)))}

    @property
    def supports_json_mode(self) -> bool:
        return True

    @property
    def supports_image_inputs(self) -> bool:
        return True

    @property
    def supports_image_urls(self) -> bool:
        return True

    @property
    def supports_pdf_inputs(self) -> bool:
        return True

    @property
    def supports_image_tool_message(self) -> bool:
        return True

    @property
    def supports_anthropic_inputs(self) -> bool:
        return True

    @property
    def supports_model_override(self) -> bool:
        return True

    @property
    def model_override_value(self) -> str:
        return "strong"

    @pytest.mark.xfail(strict=True, raises=AssertionError, reason="Routes hold connections and keys: the model is never written anywhere.")
    def test_serdes(self, *_: Any) -> None:
        assert self.chat_model_class.is_lc_serializable()

    @pytest.mark.xfail(strict=True, raises=AssertionError, reason="Each route reads its own environment; the wrapper has nothing to read.")
    def test_init_from_env(self) -> None:
        assert any(self.init_from_env_params)
