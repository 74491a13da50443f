"""NAME_OR_DIR and the splits asked for -> opened splits, for every action on a dataset."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from effunet.commands.terminal import shown
from effunet.data.catalog import find_dataset, open_split
from effunet.data.check.findings import Finding
from effunet.data.dataset import Dataset
from effunet.data.describe.description import Description
from effunet.errors import DataError


@dataclass(frozen=True)
class Opened:
    """A dataset's description, the splits that have images, and a finding for each that has not."""

    description: Description
    splits: list[Dataset]
    missing: list[Finding]


def open_splits(name_or_dir: str, root: Path | None, splits: Sequence[str]) -> Opened:
    """Open the splits asked for, or every described one of which an image is there.

    Files without a partner are left to the check.

    Raises:
        DataError: a split that was asked for is not there, or none is.
    """
    description, places = find_dataset(name_or_dir, root)
    opened: list[Dataset] = []
    missing: list[Finding] = []
    for split in dict.fromkeys(splits or description.origin.names):
        try:
            opened.append(open_split(description, places, split, paired=False))
        except DataError as fault:
            if splits:
                raise
            missing.append(Finding("missing_split", str(fault), level="note", split=split))
    if not opened:
        raise DataError(missing[0].line)
    for notice in dict.fromkeys(notice for dataset in opened for notice in dataset.notices):
        print(f"effunet: {shown(notice)}", file=sys.stderr)
    return Opened(description, opened, missing)
