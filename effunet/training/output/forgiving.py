"""Files that a training can do without: a full disk costs one notice a kind, never the training."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path


class Forgiving:
    """Lets the writing of a file fail; the next validation tries again, without another word."""

    def __init__(self, folder: Path) -> None:
        """Write into `folder`, which the notices name."""
        self.folder = folder
        self.told: set[str] = set()

    @contextmanager
    def writing(self, name: str) -> Generator[None]:
        """Write the file `name` in here; a fault of disk or permission is told once and let be."""
        try:
            yield
        except OSError as error:
            if name not in self.told:
                self.told.add(name)
                print(
                    f"notice    {self.folder / name} cannot be written ({error}):"
                    " the training goes on without it",
                    flush=True,
                )
