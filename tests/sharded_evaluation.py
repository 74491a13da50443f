"""What each process of a group does in the tests: evaluations that go well and one that does not.

python sharded_evaluation.py FOLDER    with a launcher's environment, or without for one process
"""

import json
import sys
from pathlib import Path

import numpy as np
from tiny_segmenter import LABELS, random_image, tiny_segmenter

from effunet import processes
from effunet.data.dataset import Dataset, Sample
from effunet.errors import DataError
from effunet.evaluation.evaluate import evaluate

SIZES = ((40, 50), (33, 65), (64, 64), (1, 7), (64, 32), (37, 41), (50, 40))
"""Seven images, which no number of processes from 2 to 6 divides."""


class Sized(Dataset):
    """Random images of these sizes; the one at `broken` cannot be read."""

    def __init__(self, sizes: tuple[tuple[int, int], ...], broken: int | None = None) -> None:
        super().__init__("sized", "val", LABELS, [str(index) for index in range(len(sizes))])
        self.sizes, self.broken = sizes, broken
        self.reads: list[int] = []

    def __getitem__(self, index: int) -> Sample:
        if index == self.broken:
            raise DataError(f"image {index} is damaged")
        self.reads.append(index)
        mask = np.random.default_rng(index).integers(0, 4, self.sizes[index], np.uint8)
        image = random_image(*self.sizes[index], seed=index)
        return Sample(image, np.where(mask == 3, 255, mask).astype(np.uint8), str(index))


def scenes() -> dict[str, object]:
    """Every evaluation in turn; the last one shows that a fault leaves nothing behind."""
    segmenter, seen = tiny_segmenter(), {}
    for name, data in (
        ("seven", Sized(SIZES)),
        ("one", Sized(SIZES[:1])),
        ("broken", Sized(SIZES, broken=1)),
        ("again", Sized(SIZES)),
        # As on a machine with other files than the rest has.
        ("another", Sized(SIZES[: 6 + processes.is_first()])),
    ):
        try:
            seen[name] = evaluate(segmenter, data).to_plain()
        except DataError as error:
            seen[name] = str(error)
        seen[f"{name} reads"] = data.reads
    # With where errors lie, and an image that is named and not counted.
    without = evaluate(segmenter, Sized(SIZES, broken=2), regions=True, strict=False)
    seen["without"] = without.to_plain()
    return seen


if __name__ == "__main__":
    with processes.joined():
        place = processes.rank()
        Path(sys.argv[1], f"{place}.json").write_text(json.dumps(scenes()))
    processes.leave(0)
