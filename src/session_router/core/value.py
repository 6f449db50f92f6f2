"""What a value is: made once, compared by what it holds, never changed.

Type checkers refuse every assignment to a field. At run time nobody is asked: a frozen dataclass pays for each field of each
instance three times what a plain assignment costs, and a decision makes two dozen values of some three hundred fields. Settings,
which users make and keep, are frozen dataclasses.
"""

from __future__ import annotations

from dataclasses import MISSING, dataclass, field, fields
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, cast, dataclass_transform

if TYPE_CHECKING:
    from collections.abc import Callable

Value = TypeVar("Value")
Fields = ParamSpec("Fields")


@dataclass_transform(kw_only_default=True, frozen_default=True, field_specifiers=(field,))
def value(cls: type[Value]) -> type[Value]:
    """Make of `cls` a value of named fields, given by keyword, in slots; hashable if its fields are."""
    return dataclass(slots=True, kw_only=True, unsafe_hash=True)(cls)


def maker(cls: Callable[Fields, Value]) -> Callable[Fields, Value]:
    """Return a function that takes what the value class `cls` takes and makes the same of it, in half the time.

    Whoever calls a class pays for a table of the arguments, which a function gets as they are. What every decision makes is made so;
    all else by its class.
    """
    # No field has a name that begins and ends so.
    names: dict[str, Any] = {"_new_": object.__new__, "_class_": cls, "_absent_": object()}
    parameters, lines = list[str](), ["self = _new_(_class_)"]
    for one in fields(cast("Any", cls)):
        default, given = f"_{one.name}_", one.name
        if one.default_factory is not MISSING:
            names[default] = one.default_factory
            parameters.append(f"{one.name}=_absent_")
            given = f"{default}() if {one.name} is _absent_ else {one.name}"
        elif one.default is not MISSING:
            names[default] = one.default
            parameters.append(f"{one.name}={default}")
        else:
            parameters.append(one.name)
        lines.append(f"self.{one.name} = {given}")
    if hasattr(cls, "__post_init__"):
        lines.append("self.__post_init__()")
    source = "\n    ".join([f"def make(*, {', '.join(parameters)}):", *lines, "return self"])
    # As `dataclasses` makes what it makes: of the names of fields alone, when a module is imported.
    exec(source, names)  # noqa: S102 -- as above
    return cast("Callable[Fields, Value]", names["make"])


if TYPE_CHECKING:

    def new_tuple(cls: type[Value], fields: tuple[Any, ...]) -> Value:
        """Return the named tuple of these fields, in their order; quicker than its class, which takes them one by one."""
        ...

else:
    new_tuple = tuple.__new__
