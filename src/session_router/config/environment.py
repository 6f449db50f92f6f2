"""The environment over the file: `SESSION_ROUTER__POLICY__STAKE=0.02`, and `${NAME}` inside texts."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from session_router.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

PREFIX = "SESSION_ROUTER__"
SEPARATOR = "__"
Path: TypeAlias = tuple[str | int, ...]

_REFERENCE = re.compile(r"\$(?:(?P<escaped>\$)|\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>[^}]*))?\}|(?P<broken>\{[^}]*\}?))")


@dataclass(frozen=True, slots=True, kw_only=True)
class Layers:
    """Plain values, and where each came from.

    Attributes:
        values: The table, references resolved and overrides applied.
        source: The file; `None` when there is none.
        origins: Paths that an environment variable set, with its name.
        hidden: Paths whose value came from the environment by reference: it may be a secret.
        referenced: Variables that texts of the file name.
        problems: References that could not be resolved.
    """

    values: dict[str, Any]
    source: str | None
    origins: dict[Path, str] = field(default_factory=dict[Path, str])
    hidden: set[Path] = field(default_factory=set[Path])
    referenced: set[str] = field(default_factory=set[str])
    problems: list[ConfigurationError] = field(default_factory=list[ConfigurationError])

    def source_of(self, path: Path) -> str | None:
        """Name the file or variable that set `path`, or the table around it."""
        for end in range(len(path), 0, -1):
            if path[:end] in self.origins:
                return self.origins[path[:end]]
        return self.source


def layered(table: Mapping[str, Any], environment: Mapping[str, str], *, source: str | None) -> Layers:
    """Resolve the references of `table`, then lay `environment` over it."""
    layers = Layers(values={}, source=source)
    layers.values.update(cast("dict[str, Any]", _resolved(table, (), environment, layers)))
    for variable in sorted(environment):
        if variable.upper().startswith(PREFIX):
            _override(layers, variable, environment[variable])
    return layers


def without_effect(environment: Iterable[str], settings: Iterable[str], layers: Layers) -> list[str]:
    """Name the variables that read like a setting and set none: one underscore stands where there must be two.

    Args:
        environment: Names of variables.
        settings: Names of tables, and of keys outside of all tables.
        layers: What was made of the environment. What the file names itself is not meant as a setting.
    """
    alike = re.compile(rf"SESSION_ROUTER_(?:{'|'.join(map(re.escape, settings))})(?:_|$)", re.IGNORECASE)
    return sorted(variable for variable in environment if alike.match(variable) and variable not in layers.referenced)


def _resolved(value: object, path: Path, environment: Mapping[str, str], layers: Layers) -> object:
    if isinstance(value, dict):
        items = cast("dict[Any, object]", value).items()
        return {key: _resolved(one, (*path, key), environment, layers) for key, one in items}
    if isinstance(value, list):
        return [_resolved(one, (*path, index), environment, layers) for index, one in enumerate(cast("list[object]", value))]
    if not isinstance(value, str) or "$" not in value:
        return value

    def replaced(match: re.Match[str]) -> str:
        if match["escaped"]:
            return "$"
        name, default = match["name"], match["default"]
        if name is None:
            layers.problems.append(
                _unresolved(layers, path, match[0], "write a reference as ${NAME} or ${NAME:-default}; write $$ for a $.")
            )
            return ""
        layers.hidden.add(path)
        layers.referenced.add(name)
        if name not in environment and default is None:
            layers.problems.append(_unresolved(layers, path, match[0], f"the environment variable {name} is not set."))
            return ""
        return environment.get(name, default or "")

    return _REFERENCE.sub(replaced, value)


def _unresolved(layers: Layers, path: Path, reference: str, rule: str) -> ConfigurationError:
    return ConfigurationError(key=dotted(path), value=reference, rule=rule, source=layers.source)


def _override(layers: Layers, variable: str, text: str) -> None:
    parts = [part.lower() for part in variable[len(PREFIX) :].split(SEPARATOR)]
    origin = f"environment variable {variable}"
    if not all(parts):
        rule = "write sections and keys as in SESSION_ROUTER__POLICY__STAKE."
        layers.problems.append(ConfigurationError(key=variable, value="(hidden)", rule=rule, source="environment"))
        return
    table: dict[str, Any] = layers.values
    path: Path = ()
    for part in parts[:-1]:
        name = _spelt(part, table)
        if name not in table:
            layers.origins[(*path, name)] = origin
        below = table.get(name, {})
        # `fast = "openai:gpt-5-mini"` is short for a table.
        if isinstance(below, str) and path == ("models",):
            below = {"model": below}
        path = (*path, name)
        if not isinstance(below, dict):
            layers.problems.append(ConfigurationError(key=dotted(path), value="(hidden)", rule="it is no table.", source=origin))
            return
        table[name] = below
        table = cast("dict[str, Any]", below)
    name = _spelt(parts[-1], table)
    path = (*path, name)
    table[name] = _scalar(text) if "settings" in path else text
    layers.origins[path] = origin


def _spelt(part: str, table: Mapping[str, Any]) -> str:
    """Find the key that a variable means: variables have no lower case, no dashes and no dots."""
    return next((key for key in table if re.sub(r"\W", "_", str(key)).lower() == part), part)


def _scalar(text: str) -> object:
    """Read a value for a client's own settings, whose types are not known here: a TOML value, else text."""
    try:
        return tomllib.loads(f"value = {text}")["value"] if "\n" not in text else text
    except tomllib.TOMLDecodeError:
        return text


def dotted(path: Path) -> str:
    """Write a path as `models.fast.prices.input`."""
    return ".".join(map(str, path)) or "config"
