"""The parts of LangChain's standard suite that depend on what a model says. The whole suite passes; this is the quick part."""

# ruff: noqa: ANN001, ANN201 -- fixtures and cases say what they are

import warnings

import pytest
from langchain_anthropic import ChatAnthropic
from langchain_openai import ChatOpenAI
from langchain_tests.integration_tests import ChatModelIntegrationTests


class Suite(ChatModelIntegrationTests):
    """A way to call single tests of the suite."""

    __test__ = False
    chat_model_class = ChatOpenAI
    has_tool_choice = True
    supports_json_mode = True


TESTS = [
    "test_stream",
    "test_double_messages_conversation",
    "test_usage_metadata",
    "test_usage_metadata_streaming",
    "test_stop_sequence",
    "test_tool_calling_with_no_arguments",
    "test_structured_output_optional_param",
    "test_message_with_name",
    "test_agent_loop",
    "test_unicode_tool_call_integration",
    "test_tool_choice",
    "test_bind_runnables_as_tools",
    "test_tool_calling",
    "test_stream_events_v3",
]


@pytest.fixture(params=["chat", "responses", "messages"])
def model(served, request):
    if request.param == "messages":
        return ChatAnthropic(model="sim-claude", base_url=served.anthropic_base_url, api_key="k", max_retries=0)
    responses = request.param == "responses"
    return ChatOpenAI(
        model="sim-fast", base_url=served.openai_base_url, api_key="k", max_retries=0, stream_usage=True, use_responses_api=responses
    )


@pytest.mark.parametrize("name", TESTS)
def test_the_suite_passes(served, model, name):
    suite = Suite()
    Suite.chat_model_class = type(model)
    Suite.chat_model_params = {
        "model": model.model if isinstance(model, ChatAnthropic) else model.model_name,
        "base_url": served.anthropic_base_url if isinstance(model, ChatAnthropic) else served.openai_base_url,
        "api_key": "k",
    }
    before = served.ledger.client_errors
    with warnings.catch_warnings():
        # LangChain's own conversions of structured output warn.
        warnings.simplefilter("ignore", UserWarning)
        getattr(suite, name)(model)
    assert served.ledger.client_errors == before


@pytest.mark.parametrize("method", ["json_schema", "function_calling", "json_mode"])
def test_openai_json_mode_and_schemas(served, method):
    chat = ChatOpenAI(model="sim-fast", base_url=served.openai_base_url, api_key="k", max_retries=0)
    schema = {
        "title": "Joke",
        "description": "A joke.",
        "type": "object",
        "properties": {"setup": {"type": "string"}, "punchline": {"type": "string"}},
        "required": ["setup", "punchline"],
    }
    joke = chat.with_structured_output(schema, method=method).invoke("Tell a joke as JSON with 'setup' and 'punchline' keys.")
    assert set(joke) == {"setup", "punchline"}
