"""What the Responses API demands of items that refer to each other, or to what the provider stored."""

from collections import Counter
from collections.abc import Iterator

from session_router.testing.providers.dialect import ModelRequest
from session_router.testing.providers.openai_responses.items import EXCHANGED, conversation, is_output, sent_items, type_of
from session_router.testing.providers.refusal import Refusal
from session_router.testing.providers.wire import as_text

_NOT_STORED = (
    " Items are not persisted when `store` is set to false. Try again with `store` set to true, or remove this item from your input."
)
_NOT_FOUND = 404


def known_items(request: ModelRequest) -> Iterator[Refusal]:
    """Ids name items that this account stored. Items that are sent whole need not be known where nothing is stored."""
    storing = request.body.get("store") is not False
    for item in sent_items(request.body):
        identifier, kind = as_text(item.get("id")), type_of(item)
        if not identifier or identifier in request.records.items or item.get("encrypted_content") or kind.endswith("_output"):
            continue
        if storing or kind in {"reasoning", "item_reference"}:
            reason = _NOT_STORED if identifier in request.records.unstored else ""
            yield Refusal(message=f"Item with id '{identifier}' not found.{reason}", status=_NOT_FOUND, param="input")


def unique_items(request: ModelRequest) -> Iterator[Refusal]:
    """No item comes twice, neither in the input nor through `previous_response_id`."""
    counts = Counter(as_text(item.get("id")) for item in conversation(request) if item.get("id"))
    for identifier, count in counts.items():
        if count > 1:
            yield Refusal(
                message=f"Duplicate item found with id {identifier}. Remove duplicate items from your input and try again.", param="input"
            )


def encrypted_reasoning(request: ModelRequest) -> Iterator[Refusal]:
    """Encrypted reasoning was sealed for this account and this family of models."""
    for item in sent_items(request.body):
        sealed = as_text(item.get("encrypted_content")) if type_of(item) == "reasoning" else ""
        if sealed and request.signatures.unseal(sealed, request.account, request.model.family_name) is None:
            yield Refusal(
                message=f"The encrypted content {sealed[:4]}...{sealed[-4:]} could not be verified. Reason: Encrypted content could not be "
                "decrypted or parsed.",
                code="invalid_encrypted_content",
            )


def reasoning_pairs(request: ModelRequest) -> Iterator[Refusal]:
    """A reasoning item comes right before the item that it led to, and that item does not come without it."""
    items = conversation(request)
    seen: set[str] = set()
    for item, following in zip(items, [*items[1:], None], strict=False):
        identifier, kind = as_text(item.get("id")), type_of(item)
        stored = request.records.items.get(identifier)
        if stored and stored.reasoning_id and stored.reasoning_id not in seen:
            yield Refusal(
                message=f"Item '{identifier}' of type '{kind}' was provided without its required 'reasoning' item: "
                f"'{stored.reasoning_id}'.",
                param="input",
            )
        seen.add(identifier)
        if kind != "reasoning":
            continue
        next_id = as_text(following.get("id")) if following else ""
        expected = stored.following_id if stored else None
        if following is None or not is_output(following) or (expected and next_id and next_id != expected):
            yield Refusal(
                message=f"Item '{identifier}' of type 'reasoning' was provided without its required following item.", param="input"
            )


def answered_calls(request: ModelRequest) -> Iterator[Refusal]:
    """Every call that the client runs has its output after it, and every output has its call before it."""
    items = conversation(request)
    for kind in EXCHANGED:
        open_calls: dict[str, None] = {}
        known: set[str] = set()
        for item in items:
            if type_of(item) == kind.call:
                identifier = as_text(item.get(kind.call_key))
                open_calls[identifier] = None
                known.add(identifier)
            elif type_of(item) == kind.output:
                identifier = as_text(item.get(kind.output_key))
                if identifier not in known:
                    yield Refusal(message=f"No tool call found for {kind.label} output with call_id {identifier}.", param="input")
                open_calls.pop(identifier, None)
        for identifier in open_calls:
            yield Refusal(message=f"No tool output found for {kind.label} {identifier}.", param="input")
