"""Rows that are made when they are asked for: a sequence that holds its items in some other way."""

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import TypeVar, overload

Item = TypeVar("Item")


class Rows(Sequence[Item]):
    """A sequence from its length and one item; equal to any other sequence of equal items."""

    __hash__ = None  # pyright: ignore[reportAssignmentType]

    @abstractmethod
    def row(self, place: int) -> Item:
        """The item at a place from 0 to the length."""

    @overload
    def __getitem__(self, index: int) -> Item: ...
    @overload
    def __getitem__(self, index: slice) -> list[Item]: ...
    def __getitem__(self, index: int | slice) -> Item | list[Item]:
        places = range(len(self))[index]
        return self.row(places) if isinstance(places, int) else [self.row(p) for p in places]

    def __iter__(self) -> Iterator[Item]:
        return (self.row(place) for place in range(len(self)))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)
