"""pydantic's findings -> errors of ours: the file, the key, the value and the rule."""

from __future__ import annotations

import difflib
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any, cast, get_args, get_origin

from pydantic import BaseModel, SecretStr

from session_router.config.environment import dotted
from session_router.config.schema import Settings
from session_router.errors import ConfigurationError, ConfigurationErrors, MissingExtra

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Sequence

    from pydantic import ValidationError
    from pydantic_core import ErrorDetails

    from session_router.config.environment import Layers, Path

HIDDEN = "(hidden)"
_SECRET = re.compile(r"(^|_)(key|secret|token|password|passwd|credentials?|authorization|bearer|url)$", re.IGNORECASE)
_KEY_MARK = "[key]"  # how pydantic says that the key itself, not its value, is wrong

_RULES = {
    "missing": "it is required",
    "too_short": "give at least one",
    "string_too_short": "it must not be empty",
    "string_type": "give text",
    "float_type": "give a number",
    "float_parsing": "give a number",
    "finite_number": "give a finite number",
    "int_type": "give a whole number",
    "int_parsing": "give a whole number",
    "int_from_float": "give a whole number",
    "int_parsing_size": "give a whole number of a usable size",
    "bool_type": "give true or false",
    "bool_parsing": "give true or false",
    "dict_type": "give a table",
    "model_type": "give a table",
    "frozen_set_type": "give a list",
    "greater_than": "give a number > {gt}",
    "greater_than_equal": "give a number >= {ge}",
    "less_than": "give a number < {lt}",
    "less_than_equal": "give a number <= {le}",
    "enum": "choose one of {expected}",
    "literal_error": "choose one of {expected}",
}


def raised(errors: Sequence[ConfigurationError]) -> ConfigurationError:
    """Make one error of one or more."""
    return errors[0] if len(errors) == 1 else ConfigurationErrors(errors)


def problems_of(error: ValidationError, layers: Layers) -> list[ConfigurationError]:
    """Translate every finding."""
    return [_problem(one, layers) for one in error.errors(include_url=False)]


@contextmanager
def stated_at(path: Path, layers: Layers) -> Generator[None]:
    """Let what the core finds wrong be told as the setting that states it: the core knows its own names, and no file.

    Args:
        path: Of the section of which a value is made; what the core calls it comes first in its own names.
        layers: Where it came from.

    Raises:
        ConfigurationError: Of the setting, in place of one that has no source.
    """
    try:
        yield
    except ConfigurationError as error:
        if error.source is not None or isinstance(error, ConfigurationErrors | MissingExtra):
            raise
        wrong = (*path, *(error.key.split(".")[1:] or [error.key]))
        found = ConfigurationError(
            key=dotted(wrong), value=shown(wrong, error.value, layers), rule=error.rule, source=layers.source_of(wrong)
        )
    else:
        return
    raise found


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Suggest the nearest of `known`, or list them."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1)
    return f"did you mean `{near[0]}`?" if near else f"known are {', '.join(f'`{one}`' for one in names)}."


def shown(path: Path, value: object, layers: Layers) -> object:
    """Return `value` as an error may show it: never a secret, never a whole table."""
    # `fast = "${MODEL}"` is short for a table: the reference stands one part higher than the value.
    referred = any(path[:end] in layers.hidden for end in range(1, len(path) + 1))
    if referred or "settings" in path or any(isinstance(part, str) and _SECRET.search(part) for part in path):
        return HIDDEN
    if isinstance(value, dict | list):
        return f"(a {'table' if isinstance(value, dict) else 'list'})"
    return value


def _problem(finding: ErrorDetails, layers: Layers) -> ConfigurationError:
    path = tuple(part for part in finding["loc"] if part != _KEY_MARK)
    kind = finding["type"]
    value = None if kind == "missing" else finding["input"]
    if kind == "extra_forbidden":
        rule = f"there is no such setting; {did_you_mean(str(path[-1]), _known_beside(path))}"
    else:
        rule = _RULES.get(kind, finding["msg"]).format_map(finding.get("ctx", {}))
        meaning = _meaning(path)
        rule = f"{rule} ({meaning})." if meaning else f"{rule}."
    return ConfigurationError(key=dotted(path), value=shown(path, value, layers), rule=rule, source=layers.source_of(path))


def _known_beside(path: Path) -> list[str]:
    section: Any = Settings
    for part in path[:-1]:
        section = _below(section, part)
    return sorted(section.model_fields) if _is_section(section) else []


def _meaning(path: Path) -> str:
    section: Any = Settings
    for part in path[:-1]:
        section = _below(section, part)
    if not _is_section(section) or str(path[-1]) not in section.model_fields:
        return ""
    found = section.model_fields[str(path[-1])]
    return found.description or _description(found.annotation)


def _description(annotation: object) -> str:
    for one in (annotation, *get_args(annotation)):
        for extra in getattr(one, "__metadata__", ()):
            if text := getattr(extra, "description", None):
                return cast("str", text)
    return ""


def _below(section: object, part: str | int) -> object:
    """The section that `part` of `section` holds; `None` when it holds none."""
    if _is_section(section):
        found = cast("type[BaseModel]", section).model_fields.get(str(part))
        return None if found is None else _bare(found.annotation)
    if get_origin(section) is dict:
        return _bare(get_args(section)[1])
    return None


def _bare(annotation: object) -> object:
    if get_origin(annotation) is Annotated:
        return _bare(get_args(annotation)[0])
    sections = [one for one in get_args(annotation) if _is_section(one)]
    return sections[0] if sections and get_origin(annotation) is not dict else annotation


def _is_section(one: object) -> bool:
    return isinstance(one, type) and issubclass(one, BaseModel) and not issubclass(one, SecretStr)
