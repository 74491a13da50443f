"""A large JSON file -> its elements one by one, and the place in the file where each lies.

The whole of it is never held as Python objects: COCO's training annotations (450 MB) would take
several gigabytes. An element that is needed later is read again from its place.
"""

import json
import mmap
import os
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from effunet.data.files.opening import access
from effunet.data.shapes.reading import parse, refuse_json
from effunet.errors import DataError, ResourceError

LARGEST = 8 * 2**30
"""Bytes; a file is held as text while it is gone through."""

_SPACE = re.compile(r"[ \t\n\r]*")


@dataclass(frozen=True)
class Piece:
    """An element of an array: the array's key ("" for a file that is one), and what it is.

    value is read as if bytes were letters, so texts in it are right only if they are ASCII; read
    it with Source.read where they matter.
    """

    key: str
    value: Any
    start: int
    length: int


class Source:
    """A file whose pieces are read when they are asked for."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with access(path):
            self._state = _state(path.stat())

    def read(self, start: int, length: int) -> bytes:
        """Bytes of the file.

        Raises:
            DataError: the file has changed since it was opened.
        """
        with access(self.path), self.path.open("rb") as file:
            if _state(os.fstat(file.fileno())) != self._state:
                raise DataError(f"{self.path} was changed while it was in use: start again")
            file.seek(start)
            return file.read(length)

    def value(self, start: int, length: int) -> Any:
        """A piece of JSON."""
        return parse(self.read(start, length), str(self.path))

    def pieces(self, arrays: Collection[str]) -> Iterator[Piece]:
        """The elements of the named arrays of a file that is an object; of a file that is an array.

        Raises:
            DataError: no JSON; names the place.
            ResourceError: not enough memory for its text.
        """
        text = self._text()
        try:
            yield from _Cursor(text).pieces(arrays)
        except (ValueError, RecursionError) as fault:
            refuse_json(fault, str(self.path))

    def _text(self) -> str:
        """The whole file with a letter for each byte, so that places in it are places in the file.

        All that structures JSON is ASCII, and so are numbers.
        """
        with access(self.path), self.path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size > LARGEST:
                raise DataError(
                    f"{self.path} has {size / 2**30:.1f} GB, more than the limit of "
                    f"{LARGEST // 2**30} GB: split it by images"
                )
            if not size:
                raise DataError(f"{self.path} is empty (0 bytes): restore it, or export it again")
            try:
                with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as held:
                    return str(held, "latin-1")
            except MemoryError:
                raise ResourceError(
                    f"not enough memory to read {self.path} ({size / 2**20:.0f} MB): split it by "
                    "images"
                ) from None


class _Cursor:
    """A place in a JSON text, moved on value by value."""

    def __init__(self, text: str) -> None:
        self.text, self.place = text, 0
        self.decoder = json.JSONDecoder()

    def pieces(self, arrays: Collection[str]) -> Iterator[Piece]:
        """What Source.pieces gives."""
        # A byte order mark, as letters.
        self.place = 3 if self.text.startswith("\xef\xbb\xbf") else 0
        if self.peek() == "[":
            yield from self.elements("")
        else:
            for _ in self.items("{", "}"):
                key = self.value()
                self.take(":")
                if isinstance(key, str) and key in arrays:
                    yield from self.elements(key)
                else:
                    self.value()
        if self.peek():
            raise ValueError(f"something stands behind its end, at byte {self.place}")

    def elements(self, key: str) -> Iterator[Piece]:
        """The elements of the array that begins here."""
        for _ in self.items("[", "]"):
            self.peek()
            start = self.place
            yield Piece(key, self.value(), start, self.place - start)

    def items(self, opening: str, closing: str) -> Iterator[None]:
        """Stop before each item, which the caller takes."""
        self.take(opening)
        if self.peek() != closing:
            yield
            while self.peek() == ",":
                self.take(",")
                yield
        self.take(closing)

    def value(self) -> Any:
        """The value that begins here."""
        self.peek()
        value, self.place = self.decoder.raw_decode(self.text, self.place)
        return value

    def take(self, letter: str) -> None:
        """Pass over a letter that must stand here."""
        if self.peek() != letter:
            raise ValueError(f"expected {letter} at byte {self.place}, got {self.peek()!r}")
        self.place += 1

    def peek(self) -> str:
        """The next letter that is no space; empty at the end."""
        space = _SPACE.match(self.text, self.place)
        self.place = space.end() if space else self.place
        return self.text[self.place : self.place + 1]


def _state(stat: os.stat_result) -> tuple[int, int]:
    return stat.st_size, stat.st_mtime_ns
