"""A value that satisfies a JSON schema, built from what a user's text offers."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from session_router.testing.providers.wire import JsonObject, as_list, as_object, as_text, objects

_NUMBER = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?(?![\w])")
_QUOTED = re.compile(r"(?<!\w)'([^']+)'(?!\w)|\"([^\"]+)\"|`([^`]+)`|“([^”]+)”")
_DEEPEST = 24

_FORMATS = {
    "date": "2026-01-01",
    "date-time": "2026-01-01T00:00:00Z",
    "time": "00:00:00Z",
    "email": "user@example.com",
    "uri": "https://example.com/",
    "uuid": "00000000-0000-4000-8000-000000000000",
    "ipv4": "127.0.0.1",
}


def quoted_strings(text: str) -> list[str]:
    """Return the strings that stand in quotes in `text`, in order."""
    return [next(part for part in match if part) for match in _QUOTED.findall(text)]


class SchemaSampler:
    """Builds one value after another from one text; each number and quoted string is used once, in order."""

    def __init__(self, schema: Mapping[str, Any], text: str) -> None:
        """Read the definitions of `schema`, and the numbers and quoted strings of `text`."""
        self._root = schema
        self._text = text.strip()
        self._strings: Iterator[str] = iter(quoted_strings(text))
        self._numbers: Iterator[float] = iter([float(number) for number in _NUMBER.findall(text)])

    def sample(self) -> Any:  # noqa: ANN401 -- a JSON value
        """Return a value that satisfies the schema. `pattern` and `not` are not looked at."""
        return self._value(dict(self._root), "value", 0)

    def _value(self, schema: JsonObject, name: str, depth: int) -> Any:  # noqa: ANN401 -- as above
        schema = self._resolved(schema)
        if "const" in schema:
            return schema["const"]
        if choices := as_list(schema.get("enum")):
            return self._chosen(choices)
        for union in ("anyOf", "oneOf"):
            if options := objects(schema.get(union)):
                option = next((each for each in options if each.get("type") != "null"), options[0])
                return self._value({**_without(schema, union), **option}, name, depth)
        kind = _kind(schema)
        if kind == "object":
            return self._object(schema, depth)
        if kind == "array":
            return self._array(schema, name, depth)
        return self._scalar(kind, schema, name)

    def _resolved(self, schema: JsonObject) -> JsonObject:
        """Follow `$ref` and fold `allOf` in."""
        for _ in range(_DEEPEST):
            reference = as_text(schema.get("$ref"))
            if not reference.startswith("#/"):
                break
            target: object = self._root
            for part in reference[2:].split("/"):
                target = as_object(target).get(part.replace("~1", "/").replace("~0", "~"))
            schema = {**as_object(target), **_without(schema, "$ref")}
        for member in objects(schema.get("allOf")):
            folded = self._resolved(member)
            schema = {
                **folded,
                **_without(schema, "allOf"),
                "properties": {**as_object(folded.get("properties")), **as_object(schema.get("properties"))},
                "required": [*as_list(folded.get("required")), *as_list(schema.get("required"))],
            }
        return schema

    def _object(self, schema: JsonObject, depth: int) -> JsonObject:
        properties = as_object(schema.get("properties"))
        if depth >= _DEEPEST:
            return {}
        return {
            name: self._value(as_object(properties.get(name)), name, depth + 1)
            for name in dict.fromkeys([*properties, *as_list(schema.get("required"))])
            if name in as_list(schema.get("required"))
        }

    def _array(self, schema: JsonObject, name: str, depth: int) -> list[Any]:
        fixed = objects(schema.get("prefixItems"))
        wanted = max(int(schema.get("minItems") or 0), len(fixed), 1)
        if schema.get("maxItems") == 0 or depth >= _DEEPEST:
            return []
        rest = as_object(schema.get("items"))
        return [self._value(fixed[at] if at < len(fixed) else rest, name, depth + 1) for at in range(wanted)]

    def _chosen(self, choices: list[Any]) -> Any:  # noqa: ANN401 -- as above
        """Return the first choice that the text names, else the first."""
        text = self._text.casefold()
        return next((choice for choice in choices if as_text(choice) and as_text(choice).casefold() in text), choices[0])

    def _scalar(self, kind: str, schema: JsonObject, name: str) -> Any:  # noqa: ANN401 -- as above
        if kind == "integer":
            return int(self._number(schema, whole=True))
        if kind == "number":
            number = self._number(schema, whole=False)
            return int(number) if number.is_integer() else number
        if kind == "boolean":
            return True
        if kind == "null":
            return None
        return self._string(schema, name)

    def _number(self, schema: JsonObject, *, whole: bool) -> float:
        value = next(self._numbers, None)
        smallest = float(schema.get("minimum", float("-inf")))
        largest = float(schema.get("maximum", float("inf")))
        step = float(schema.get("multipleOf") or 0.0)
        unit = step or 1.0
        if "exclusiveMinimum" in schema:
            smallest = max(smallest, float(schema["exclusiveMinimum"]) + unit)
        if "exclusiveMaximum" in schema:
            largest = min(largest, float(schema["exclusiveMaximum"]) - unit)
        number = min(max(1.0 if value is None else value, smallest), largest)
        if step:
            number = step * -(-number // step) if step * -(-number // step) <= largest else step * (number // step)
        return float(int(number)) if whole else number

    def _string(self, schema: JsonObject, name: str) -> str:
        if (known := _FORMATS.get(as_text(schema.get("format")))) is not None:
            return known
        value = next(self._strings, None) or self._text or name
        value = value.ljust(int(schema.get("minLength") or 0), ".")
        return value[: int(schema["maxLength"])] if "maxLength" in schema else value


def _without(schema: JsonObject, key: str) -> JsonObject:
    return {name: value for name, value in schema.items() if name != key}


def _kind(schema: JsonObject) -> str:
    kind = schema.get("type")
    if alternatives := as_list(kind):
        return next((as_text(each) for each in alternatives if each != "null"), "null")
    if kind is None and ("properties" in schema or "required" in schema):
        return "object"
    return as_text(kind) or "string"
