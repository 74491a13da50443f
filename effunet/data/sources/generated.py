"""GeneratedDataset: samples drawn on demand; the same on every machine for one dataset.yaml."""

from effunet.data.dataset import Dataset, Sample
from effunet.data.describe.description import Description, Generated


class GeneratedDataset(Dataset):
    """One split of procedural scenes."""

    def __init__(self, description: Description, split: str, origin: Generated) -> None:
        drawn = origin.splits[split]
        ids = [f"{split}-{index:05d}" for index in range(drawn.images)]
        super().__init__(description.name, split, description.labels, ids, description.pixels)
        self.seed, self.size = drawn.seed, origin.size

    def __getitem__(self, index: int) -> Sample:
        from effunet.data import synthetic

        name = self.ids[index]
        image, raw = synthetic.render(self.seed, index % len(self), *self.size)
        return Sample(image, self.labels.encode(raw), name)
