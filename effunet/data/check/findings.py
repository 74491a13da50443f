"""What a check finds: one Finding is one sentence with what mends it, and how bad it is."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from effunet.errors import DataError

Level = Literal["fault", "warning", "note"]

LISTED = 3
"""Faults told behind the first one, where all must fit one line."""


@dataclass(frozen=True)
class Finding:
    """What is wrong and where, what to write or do against it, and how bad it is.

    A fault leaves no training or evaluation right; a warning is a fault to whoever is strict; a
    note is only worth knowing. kind is one word, for programs that sort findings.
    """

    kind: str
    what: str
    mend: str = ""
    level: Level = "fault"
    split: str = ""

    @property
    def line(self) -> str:
        """All of it as one line."""
        return f"{self.what}; {self.mend}" if self.mend else self.what

    @property
    def fatal(self) -> bool:
        """Whether it is a fault for everybody."""
        return self.level == "fault"

    def to_plain(self) -> dict[str, Any]:
        """Return JSON types under the names of the fields."""
        return asdict(self)


def told(line: str, kind: str, split: str, file: object = "") -> Finding:
    """A fault that another part of effunet has put in words: 'FILE is so; mend' or ': mend'."""
    what, mark, mend = line.rpartition("; ")
    if not mark:
        # The first colon behind the file's name: a mend may quote a line of YAML.
        start = len(str(file)) if line.startswith(str(file)) else 0
        what, mark, mend = line[start:].partition(": ")
        what = line[:start] + what
    return Finding(kind, what, mend, split=split) if mark else Finding(kind, line, split=split)


def refuse_faults(findings: Iterable[Finding], strict: bool = False) -> None:
    """Raise the faults as one line: the first few whole, and how many more there are.

    Raises:
        DataError: there is a fault; with strict, a warning is one.
    """
    bad = ("fault", "warning") if strict else ("fault",)
    faults = [finding.line for finding in findings if finding.level in bad]
    if faults:
        raise DataError(_together(faults))


def _together(faults: Sequence[str]) -> str:
    first, *others = faults
    if not others:
        return first
    listed = "; ".join(others[:LISTED])
    more = f"; and {len(others) - LISTED} more" if len(others) > LISTED else ""
    return f"{first} (and {len(others)} more faults: {listed}{more})"
