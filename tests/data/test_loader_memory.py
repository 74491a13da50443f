"""Ten thousand images more leave the workers of a loader as large as they were."""

from multiprocessing import active_children
from pathlib import Path

import pytest
from dataset_trees import plain_folder

from effunet.data.augment.augment import Augment
from effunet.data.catalog import open_dataset
from effunet.data.dataset import Dataset
from effunet.data.loading.cache_folder import cached
from effunet.data.loading.loader import SegmentationData
from effunet.data.sources.folder import FileDataset
from effunet.data.sources.listing import Listing
from effunet.data.sources.pairs import Pair, Pairs

IMAGES, BATCH = 10_000, 20

FIRST, LATER = 16 * 2**20, 2**20
"""Bytes that a worker may grow by from its first batch on: over one epoch, and over the next one.

In the first it copies what counting references writes to, and libraries make what they keep.
"""


def many_pairs(root: Path) -> FileDataset:
    """A split of IMAGES pairs with names of their own, in few files."""
    few = open_dataset(plain_folder(root, {"train": 4, "val": 1}), "train")
    assert isinstance(few, FileDataset)
    files = [(few.image_path(i), few.mask_path(i)) for i in range(4)]
    pairs = [Pair(f"frame_{index:06d}", *files[index % 4]) for index in range(IMAGES)]
    return FileDataset(few.description, "train", Listing(Pairs(pairs)), place=few.place)


def private_bytes() -> list[int]:
    """What each worker alone holds in memory, shared with no other process."""
    sizes: list[int] = []
    for worker in active_children():
        lines = Path(f"/proc/{worker.pid}/smaps_rollup").read_text().splitlines()
        private = (line.split() for line in lines if line.startswith("Private_"))
        sizes.append(sum(int(words[1]) for words in private) * 1024)
    return sizes


@pytest.mark.long  # half a minute each
@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="Linux alone tells it")
@pytest.mark.parametrize("keep", [False, True])
def test_workers_do_not_grow_over_ten_thousand_images(tmp_path, keep):
    dataset: Dataset = many_pairs(tmp_path / "mine")
    if keep:
        (dataset,) = cached([dataset], tmp_path / "cache")
    module = SegmentationData(
        dataset, dataset, Augment("street", (16, 16)), batch_size=BATCH, seed=0, num_workers=2
    )
    batches = iter(module.train_dataloader())
    next(batches)
    sizes = [private_bytes()]
    for _ in range(2):
        for _ in range(IMAGES // BATCH):
            next(batches)
        sizes.append(private_bytes())
    assert len(sizes[0]) == 2
    for start, first, second in zip(*sizes, strict=True):
        assert first - start < FIRST, sizes
        assert second - first < LATER, sizes
