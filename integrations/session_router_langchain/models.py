"""The chat models behind a router's routes, built once, and what can be found out about them."""

from __future__ import annotations

from dataclasses import replace
from threading import RLock
from typing import TYPE_CHECKING, Any, cast

from langchain_core.language_models import BaseChatModel

from session_router.core.model import Capability, ModelName, ModelSpec
from session_router.errors import ConfigurationError, MissingExtra
from session_router_langchain.dialects import account_of, dialect_of
from session_router_langchain.endpoints import attested, sends_elsewhere
from session_router_langchain.partitioning import with_partition

if TYPE_CHECKING:
    from collections.abc import Mapping

    from session_router.core.decision import Decision
    from session_router.router import Router

_PROFILE = {
    "tool_calling": Capability.TOOLS,
    "structured_output": Capability.STRUCTURED_OUTPUT,
    "image_inputs": Capability.IMAGES,
    "audio_inputs": Capability.AUDIO,
    "pdf_inputs": Capability.FILES,
}


class ChatModels:
    """Chat models by model name.

    Provider strings are built on first use, once, under a lock: chat models hold connections and must be neither
    copied nor built twice. What building tells (dialect, account, provider id, context window) is put into
    the router's specs wherever the user said nothing.

    Args:
        router: Whose routes.
        defaults: Settings of chat models that are built from provider strings; a route's own settings win.
    """

    def __init__(self, router: Router, *, defaults: Mapping[str, Any] | None = None) -> None:
        self._router = router
        self._defaults = dict(defaults or {})
        self._guard = RLock()
        self._built: dict[ModelName, BaseChatModel] = {}
        self._complete = False
        self._by_id: dict[str, list[ModelName]] = {}

    def __getitem__(self, name: ModelName) -> BaseChatModel:
        """Return the chat model of `name`."""
        self.build()
        return self._built[name]

    def build(self) -> None:
        """Build every model that is not built yet.

        Raises:
            ConfigurationError: A route is neither a chat model nor a string that a provider answers to.
            MissingExtra: A provider string needs `langchain`, which is not installed.
        """
        if self._complete:
            return
        with self._guard:
            specs: dict[ModelName, ModelSpec] = {}
            for name, spec in self._router.models.items():
                if name not in self._built:
                    self._built[name] = chat_model_of(name, spec, self._defaults)
                described = with_partition(found_out(name, spec, self._built[name]), self._built[name])
                specs[name] = attested(name, described, self._built[name])
            self._router.describe(specs)
            self._complete = True

    def writer(self, decision: Decision) -> BaseChatModel | None:
        """Return the chat model that wrote the stored answer of `decision`; `None` where it is no route any more."""
        self.build()
        return None if decision.hit is None else self._built.get(decision.hit.answer.model)

    def asked_as(self, name: ModelName) -> str | None:
        """Return the provider's id under which the model of a route is asked; `None` for one that has none."""
        found: object = self[name]._get_ls_params().get("ls_model_name")  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] -- has no public name
        return found if isinstance(found, str) else None

    def is_described(self, name: ModelName, serialized: object) -> bool:
        """Whether `serialized` is how the client of a route's own model describes that."""
        return self._description(name) is serialized

    def _description(self, name: ModelName) -> object:
        return self[name]._serialized  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] -- has no public name

    def asked_in(self, serialized: object, provider_id: str, *, chosen: ModelName) -> list[ModelName]:
        """Name the routes whose model may be the one that is asked, as callbacks are told of it; none for a stranger.

        Args:
            serialized: The model, as its client describes it: the same object at every call of the same one. Where it is no route's, it
                may be that of a route which is of the same client and address.
            provider_id: Under which it is asked. Several routes may share it.
            chosen: The route that should be asked; it alone where that cannot be told from others with the very same model.
        """
        if provider_id not in self._by_id:
            ids = {name: self.asked_as(name) for name in self._router.models}
            self._by_id = {id_: [name for name, one in ids.items() if one == id_] for id_ in ids.values() if id_ is not None}
        described = {name: self._description(name) for name in self._by_id.get(provider_id, ())}
        if seen := [name for name, one in described.items() if one is serialized]:
            return [chosen] if chosen in seen else seen
        return [name for name, one in described.items() if not sends_elsewhere(serialized, one)]

    @property
    def specs(self) -> Mapping[ModelName, ModelSpec]:
        """The router's specs, with everything that building told."""
        return self._router.models


def chat_model_of(name: ModelName, spec: ModelSpec, defaults: Mapping[str, Any]) -> BaseChatModel:
    """Build the chat model of one route.

    Args:
        name: The route.
        spec: What it is; a chat model is returned as it is.
        defaults: Settings for building from a provider string; those of `spec` win.

    Raises:
        ConfigurationError: It is neither a chat model nor a string that a provider answers to.
        MissingExtra: A provider string needs `langchain`, which is not installed.
    """
    if isinstance(spec.model, BaseChatModel):
        return spec.model
    if not isinstance(spec.model, str):
        raise _unusable(name, spec, "give a chat model, or a string such as 'openai:gpt-5-mini'.")
    try:
        from langchain.chat_models import init_chat_model
    except ImportError as error:
        raise MissingExtra(extra="langchain", package="langchain", feature=f"routes.{name}") from error
    try:
        built = cast("object", init_chat_model(spec.model, **{**defaults, **spec.settings}))
    except Exception as error:
        raise _unusable(name, spec, f"no chat model could be built from it ({type(error).__name__}: {error}).") from error
    if not isinstance(built, BaseChatModel):
        raise _unusable(name, spec, "it must name one model, not a configurable one.")
    return built


def _unusable(name: ModelName, spec: ModelSpec, rule: str) -> ConfigurationError:
    key = f"models.{name}.model" if spec.source else f"routes.{name}"
    return ConfigurationError(key=key, value=spec.model, rule=rule, source=spec.source or None)


def found_out(name: ModelName, spec: ModelSpec, model: BaseChatModel) -> ModelSpec:
    """Complete the `spec` of `name` with what `model` tells; what the user said stays."""
    provider_id = getattr(model, "model_name", None) or getattr(model, "model", None)
    ids = {provider_id.removeprefix("models/")} if isinstance(provider_id, str) else set[str]()
    profile: Mapping[str, Any] = getattr(model, "profile", None) or {}
    window = profile.get("max_input_tokens")
    # A profile lists what it knows: only an explicit no excludes.
    denied = {capability for key, capability in _PROFILE.items() if profile.get(key) is False}
    return replace(
        spec,
        provider_ids=spec.provider_ids | ids,
        dialect=spec.dialect or dialect_of(model),
        # A model of an unknown account shares state with nobody but itself.
        account=spec.account or account_of(model) or f"route:{name}",
        context_window=spec.context_window or (window if isinstance(window, int) and window > 0 else None),
        capabilities=frozenset(Capability) - denied if spec.capabilities is None and denied else spec.capabilities,
    )
