"""What a value is: made once, compared by what it holds, never changed.

Type checkers refuse every assignment to a field. At run time nobody is asked: a frozen dataclass pays for each field of each
instance three times what a plain assignment costs, and a decision makes two dozen values of some three hundred fields. Settings,
which users make and keep, are frozen dataclasses.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeVar, dataclass_transform

Value = TypeVar("Value")


@dataclass_transform(kw_only_default=True, frozen_default=True, field_specifiers=(field,))
def value(cls: type[Value]) -> type[Value]:
    """Make of `cls` a value of named fields, given by keyword, in slots; hashable if its fields are."""
    return dataclass(slots=True, kw_only=True, unsafe_hash=True)(cls)
