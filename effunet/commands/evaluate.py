"""`effunet evaluate`: a segmenter on a split of a dataset -> table, metrics.json, a picture.

Processes of torchrun share the images; the first one alone prints, draws and writes.
"""

import json
import sys
from argparse import Namespace

from effunet import artifact, processes
from effunet.commands.outputs import prepare_folder
from effunet.commands.terminal import console, progress, shown

PICTURED = 5
"""Images on the sheet, spread evenly over the split."""


def run(arguments: Namespace) -> int:
    """Measure, print the table (or JSON alone), and write the files where --out says."""
    with processes.joined():
        return _run(arguments)


def _run(arguments: Namespace) -> int:
    # A wrong model or dataset is told at once, before torch takes its seconds to load.
    header = artifact.inspect(arguments.model)
    from effunet.data.catalog import Choice, in_classes_of, open_dataset

    choice = Choice(fold=arguments.fold)
    dataset = open_dataset(arguments.data, arguments.split, arguments.root, choice=choice)
    dataset = in_classes_of(arguments.data, dataset, header.class_names, arguments.root)
    for notice in dataset.notices if processes.is_first() else ():
        print(f"effunet: {shown(notice)}", file=sys.stderr)

    from effunet.evaluation.evaluate import check_fit, evaluate
    from effunet.infer import predict_mask
    from effunet.pictures.palettes import png
    from effunet.pictures.sheet import Row, sheet
    from effunet.segmenter import Segmenter

    segmenter = Segmenter.load(arguments.model, processes.device(arguments.device))
    check_fit(segmenter, dataset)
    if arguments.out and processes.is_first():
        prepare_folder(arguments.out)
    tile, flip = arguments.tile, arguments.flip
    with progress(f"{dataset.name} {dataset.split}", shows=processes.is_first()) as tell:
        report = evaluate(segmenter, dataset, tile=tile, flip=flip, progress=tell)
    if not processes.is_first():
        return 0

    out = console()
    if arguments.json:
        print(json.dumps(report.to_plain(), indent=1))
    else:
        where = f"{dataset.name}, split {dataset.split}"
        out.print(f"{shown(arguments.model)} on {where}: {report.images} images, {report.how}\n")
        out.print(report.table(plain=not out.is_terminal))
    if arguments.out:
        metrics = report.save(arguments.out)
        rows: list[Row] = []
        for index in sorted({i * len(dataset) // PICTURED for i in range(PICTURED)}):
            sample = dataset[index]
            predicted = predict_mask(segmenter, sample.image, tile=tile, flip=flip).cpu().numpy()
            rows.append(Row(sample.name, sample.image, sample.mask, predicted))
        picture = arguments.out / "predictions.png"
        artifact.write(picture, png(sheet(rows, segmenter.labels)))
        if not arguments.json:
            out.print(f"\nwrote {shown(metrics)} and {shown(picture)}")
    return 0
