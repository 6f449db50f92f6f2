"""How OpenAI says no, in both of its APIs."""

from collections.abc import Mapping, Sequence

from session_router.testing.providers.refusal import Refusal, listed
from session_router.testing.providers.wire import JsonObject

_KEYS_PAGE = "https://platform.openai.com/account/api-keys"

OVERLOADED = Refusal(
    message="The server is currently overloaded with other requests. Sorry about that! You can retry your request.",
    status=503,
    kind="server_error",
)


def api_key(headers: Mapping[str, str]) -> str | None:
    """Return the key in the `Authorization` header, if there is one."""
    return headers.get("authorization", "").removeprefix("Bearer ").strip() or None


def error_body(refusal: Refusal, _request_id: str) -> JsonObject:
    """Return the body of an error."""
    return {"error": {"message": refusal.message, "type": refusal.kind, "param": refusal.param, "code": refusal.code}}


def no_key(key: str | None) -> Refusal:
    """Refuse a missing key (`None`) or an unknown one."""
    if key is None:
        message = (
            "You didn't provide an API key. You need to provide your API key in an Authorization header using Bearer auth (i.e. "
            f"Authorization: Bearer YOUR_KEY). You can obtain an API key from {_KEYS_PAGE}."
        )
        return Refusal(message=message, status=401)
    shown = f"{key[:3]}***{key[-4:]}"
    message = f"Incorrect API key provided: {shown}. You can find your API key at {_KEYS_PAGE}."
    return Refusal(message=message, status=401, code="invalid_api_key")


def rate_limited(model: str) -> Refusal:
    """Refuse for now."""
    message = f"Rate limit reached for {model} on requests per min (RPM). Please try again later."
    return Refusal(message=message, status=429, kind="requests", code="rate_limit_exceeded")


def no_bad_headers(_headers: Mapping[str, str]) -> Refusal | None:
    """Accept all headers."""
    return None


def unknown_parameter(place: str) -> Refusal:
    """Refuse a field that the API does not have."""
    return Refusal(message=f"Unknown parameter: '{place}'.", param=place, code="unknown_parameter")


def missing_parameter(place: str) -> Refusal:
    """Refuse the lack of a field."""
    return Refusal(message=f"Missing required parameter: '{place}'.", param=place, code="missing_required_parameter")


def invalid_value(value: str, supported: Sequence[str], place: str) -> Refusal:
    """Refuse a value that is not one of a list."""
    return Refusal(message=f"Invalid value: '{value}'. Supported values are: {listed(supported)}.", param=place, code="invalid_value")
