"""A sequence that never changes and still grows in time proportional to what is new."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from operator import is_, length_hint
from typing import TYPE_CHECKING, Generic, TypeVar, overload

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Item = TypeVar("Item")


class Trail(Sequence[Item], Generic[Item]):
    """An immutable sequence; `extended` copies nothing while a history only grows.

    Trails that grew from one another share one list, of which each shows its own beginning. Only the longest can
    grow in place; any other branches off with a copy. What a list holds at a place never changes, so that threads
    need no lock.
    """

    __slots__ = ("_items", "_length")

    def __init__(self, items: Iterable[Item] = ()) -> None:
        """Hold `items`."""
        self._items = list(items)
        self._length = len(self._items)

    def extended(self, items: Iterable[Item]) -> Trail[Item]:
        """Return this trail with `items` after it."""
        shared, start, new = self._items, self._length, tuple(items)
        # Whoever begins has a list of its own: the empty trail is everybody's.
        if len(shared) == start > 0:
            # In one step; where another thread came first, its items stand at our places.
            shared.extend(new)
            if all(map(is_, new, shared[start : start + len(new)])):
                longer: Trail[Item] = Trail()
                longer._items, longer._length = shared, start + len(new)
                return longer
        return Trail((*shared[:start], *new))

    def __len__(self) -> int:
        """Count the items."""
        return self._length

    @overload
    def __getitem__(self, index: int) -> Item: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[Item, ...]: ...

    def __getitem__(self, index: int | slice) -> Item | tuple[Item, ...]:
        """Return one item, or a tuple of those in a slice."""
        if isinstance(index, slice):
            start, stop, step = index.indices(self._length)
            return tuple(self._items[start:stop:step] if step > 0 else self._items[: self._length][index])
        place = index + self._length if index < 0 else index
        if not 0 <= place < self._length:
            msg = f"there is no item {index} among {self._length}"
            raise IndexError(msg)
        return self._items[place]

    def __iter__(self) -> Iterator[Item]:
        """Iterate from the first item on."""
        return islice(self._items, self._length)

    def __reversed__(self) -> Iterator[Item]:
        """Iterate from the last item back."""
        backwards = reversed(self._items)
        # Not by the list's length: another thread may have made it longer meanwhile.
        return islice(backwards, length_hint(backwards) - self._length, None)

    def __eq__(self, other: object) -> bool:
        """Compare the items."""
        return self is other or (isinstance(other, Trail) and self[:] == other[:])

    def __hash__(self) -> int:
        """Agree with equality."""
        return hash(self[:])

    def __repr__(self) -> str:
        """Show the items."""
        return f"Trail({list(self)!r})"
