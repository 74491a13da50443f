"""`effunet data preview`: samples of a split -> a picture, before and after augmentation."""

import sys
from argparse import Namespace

from effunet import artifact
from effunet.commands.data.sheet import Panel, draw_sheet
from effunet.commands.outputs import prepare_file
from effunet.commands.terminal import console, progress, shown
from effunet.data.augment.augment import Augment
from effunet.data.catalog import open_dataset
from effunet.data.loading.sampling import sample_seed
from effunet.pictures.palettes import png


def run(arguments: Namespace) -> int:
    """Draw, write the PNG and say where it is."""
    dataset = open_dataset(arguments.dataset, arguments.split, arguments.root)
    for notice in dataset.notices:
        print(f"effunet: {shown(notice)}", file=sys.stderr)
    prepare_file(arguments.out)
    changes = arguments.augment != "none" or arguments.crop is not None
    augment = Augment(arguments.augment, arguments.crop, None, dataset.channels)
    count = min(arguments.count, len(dataset))
    rows: list[list[Panel]] = []
    with progress(f"{dataset.name} {dataset.split}") as tell:
        for place in range(count):
            index = place * len(dataset) // count
            sample = dataset[index]
            caption = f"{shown(sample.name)}   {_size(sample.mask.shape)}"
            row = [Panel(caption, sample.image, sample.mask)]
            if changes:
                seed = sample_seed(arguments.seed, 0, index)
                image, mask = augment(sample.image, sample.mask, seed)
                row.append(Panel(_size(mask.shape), image, mask))
            rows.append(row)
            tell(place + 1, count)
    title = f"{dataset.name}, split {dataset.split}: {count} of {len(dataset)} samples"
    headings = ["as it is, and with its classes"]
    if changes:
        headings.append(f"as a training sees it: augment.preset={arguments.augment}")
    artifact.write(arguments.out, png(draw_sheet(title, headings, rows, dataset.labels)))
    console().print(f"wrote {shown(arguments.out)}")
    return 0


def _size(shape: tuple[int, ...]) -> str:
    return f"{shape[0]} x {shape[1]}"
