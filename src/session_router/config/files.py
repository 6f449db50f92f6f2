"""Files -> plain tables. A file that cannot be read is an error that names the line, and never quotes it."""

from __future__ import annotations

import tomllib
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

from session_router.errors import ConfigurationError, MissingExtra

TOML, YAML = frozenset({".toml"}), frozenset({".yaml", ".yml"})


def read_table(path: Path) -> dict[str, Any]:
    """Read a TOML or YAML file.

    Raises:
        ConfigurationError: There is no such file, it cannot be read, or it is not what its name says.
        MissingExtra: It is YAML and pyyaml is not installed.
    """
    suffix = path.suffix.lower()
    if suffix not in TOML | YAML:
        raise ConfigurationError(key="config", value=str(path), rule="name a file that ends with .toml, .yaml or .yml.")
    text = _text(path)
    try:
        return tomllib.loads(text) if suffix in TOML else _yaml(text, path)
    except tomllib.TOMLDecodeError as error:
        raise _syntax(path, str(error), "correct the TOML syntax; a name may be stated only once.") from None
    except ValueError:
        raise _syntax(path, "a number of too many digits", "no setting is that large.") from None
    except RecursionError:
        raise _syntax(path, "nested too deeply", "no setting is deeper than four tables.") from None


def beside(source: str | None, path: str) -> Path:
    """A relative path is relative to the file that states it, wherever the process was started."""
    place = Path(path)
    # A home that nobody knows is told of by whoever opens the file.
    with suppress(RuntimeError):
        place = place.expanduser()
    return place if source is None else Path(source).parent / place


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        rule = "there is no such file."
    except UnicodeDecodeError as error:
        rule = f"it must be UTF-8; byte {error.start} is not."
    except OSError as error:
        rule = f"it cannot be read ({error.strerror or error})."
    raise ConfigurationError(key="config", value=str(path), rule=rule)


def _syntax(path: Path, what: str, rule: str) -> ConfigurationError:
    return ConfigurationError(key="syntax", value=what, rule=rule, source=str(path))


def _yaml(text: str, path: Path) -> dict[str, Any]:
    try:
        import yaml
    except ImportError:
        raise MissingExtra(extra="cli", package="pyyaml", feature=str(path)) from None

    class UniqueKeys(yaml.SafeLoader):
        """The safe loader, which takes the last of two equal keys; two models of one name are a mistake."""

        def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002 -- its signature
            seen = set[str]()
            for key, _ in node.value:
                if not isinstance(key, yaml.ScalarNode) or key.tag not in {"tag:yaml.org,2002:str", "tag:yaml.org,2002:merge"}:
                    raise yaml.constructor.ConstructorError(None, None, "a name must be text; quote it", key.start_mark)
                if key.value in seen:
                    raise yaml.constructor.ConstructorError(None, None, f"`{key.value}` is stated twice", key.start_mark)
                seen.add(key.value)
            return super().construct_mapping(node, deep=deep)

    try:
        table: object = yaml.load(text, Loader=UniqueKeys)  # noqa: S506 -- derived from SafeLoader
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f" (at line {mark.line + 1}, column {mark.column + 1})" if mark is not None else ""
        raise _syntax(path, f"{error.problem}{where}", "correct the YAML.") from None
    except (yaml.YAMLError, ValueError) as error:
        raise _syntax(path, type(error).__name__, "correct the YAML: it holds characters or values that YAML does not allow.") from None
    if table is None:
        return {}
    if not isinstance(table, dict):
        raise _syntax(path, type(table).__name__, "the file must be a table with `models:` in it.")
    return cast("dict[str, Any]", table)
