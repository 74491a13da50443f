"""One sample as raw bytes in a file: written whole or not at all, read by mapping it into memory.

A head of HEAD bytes, the image's pixels, the mask's pixels. The head is a checksum and one line of
JSON: of which files the sample was made, how it was decoded, and its shape. A file that is cut, of
another format or of another size than its head promises is no entry.
"""

import json
import math
import mmap
import os
import zlib
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8
from numpy import ndarray

from effunet.artifact import write

FORMAT = "effunet-sample-1"
HEAD = 4096
"""Bytes before the pixels: a page of memory."""

Stamps = tuple[tuple[int, int, int], ...]
"""Of each file: bytes, and nanoseconds of its last change of contents and of facts."""


@dataclass(frozen=True)
class Head:
    """What an entry says of itself."""

    rules: str  # digest of all that decides, beside the files, what the sample is
    digests: tuple[str, ...]  # of the contents of the files that it was made of
    stamps: Stamps | None  # by which these are known again; None: only by their contents
    shape: tuple[int, int, int]  # of the image; the mask has its height and width

    @property
    def pixels(self) -> int:
        """Bytes of the image and of the mask together."""
        height, width, channels = self.shape
        return height * width * (channels + 1)

    def to_bytes(self) -> bytes:
        """The head as it stands in the file."""
        text = json.dumps({"format": FORMAT, **asdict(self)})
        line = f"{zlib.crc32(text.encode()):08x} {text}\n".encode()
        if len(line) > HEAD:
            raise ValueError(f"a head has {HEAD} bytes, got {len(line)}")
        return line.ljust(HEAD)

    @classmethod
    def from_bytes(cls, head: bytes) -> "Head | None":
        """What to_bytes wrote; None for anything else."""
        checksum, _, rest = head.partition(b" ")
        text = rest.rstrip()
        if checksum != f"{zlib.crc32(text):08x}".encode():
            return None
        with suppress(ValueError, KeyError, TypeError):
            facts: dict[str, Any] = json.loads(text)
            if facts["format"] != FORMAT:
                return None
            stamps = facts["stamps"]
            height, width, channels = facts["shape"]
            return cls(
                rules=str(facts["rules"]),
                digests=tuple(map(str, facts["digests"])),
                stamps=None if stamps is None else tuple((a, b, c) for a, b, c in stamps),
                shape=(height, width, channels),
            )
        return None


@dataclass(frozen=True)
class Entry:
    """An entry whose size is right; the pixels are read from the disk when they are looked at."""

    file: Path
    head: Head
    image: UInt8[ndarray, "H W C"]
    mask: UInt8[ndarray, "H W"]

    def restamp(self, stamps: Stamps | None) -> None:
        """Remember by which stamps the same contents are known from now on.

        Raises:
            OSError: the file may not be written.
        """
        head = replace(self.head, stamps=stamps).to_bytes()
        # In place: whoever reads half of it finds a wrong checksum, and decodes once more.
        with self.file.open("r+b") as stream:
            stream.write(head)


def read_entry(file: Path) -> Entry | None:
    """The entry in a file; None where there is none, or none that can be used.

    Once its size is checked, the file must not be cut, which nothing here does: a process that
    looks at pixels beyond a file's end is ended by the system (SIGBUS).
    """
    try:
        with file.open("rb") as stream:
            head = Head.from_bytes(stream.read(HEAD))
            size = os.fstat(stream.fileno()).st_size
            if head is None or min(head.shape) < 1 or size != HEAD + head.pixels:
                return None
            held = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
    except (OSError, ValueError):  # a file that was emptied between two calls
        return None
    image = np.frombuffer(held, np.uint8, math.prod(head.shape), HEAD)
    mask = np.frombuffer(held, np.uint8, math.prod(head.shape[:2]), HEAD + image.size)
    return Entry(file, head, image.reshape(head.shape), mask.reshape(head.shape[:2]))


def write_entry(
    file: Path, head: Head, image: UInt8[ndarray, "H W C"], mask: UInt8[ndarray, "H W"]
) -> None:
    """Write an entry; several processes may write the same one.

    Raises:
        OSError: the disk is full, or the folder may not be written to.
    """
    parts = (np.ascontiguousarray(part).reshape(-1).data for part in (image, mask))
    write(file, b"".join((head.to_bytes(), *parts)))
