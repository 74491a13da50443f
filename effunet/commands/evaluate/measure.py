"""`effunet evaluate`: segmenters on a split of a dataset -> tables, metrics.json, a report to read.

Processes of torchrun share the images; the first one alone prints, draws and writes.
"""

import sys
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from effunet import artifact, processes
from effunet.commands.evaluate.seeds import names_of, seeds_of
from effunet.commands.models import named
from effunet.commands.outputs import prepare_file, prepare_folder
from effunet.commands.terminal import console, progress, shown
from effunet.commands.way import keep_blocks_for, way_of
from effunet.errors import DataError, UsageError

FEW = 20
"""Images below which a bootstrap over them tells too narrow intervals."""

if TYPE_CHECKING:
    from effunet.data.dataset import Dataset
    from effunet.evaluation.report import Report
    from effunet.infer import Way
    from effunet.predictor import Predictor


def run(arguments: Namespace) -> int:
    """Measure, print the table (or JSON alone), and write the files where --out says."""
    with processes.joined():
        return _run(arguments)


def _run(arguments: Namespace) -> int:
    _check_words(arguments)
    # A wrong model or dataset is told at once, before torch takes its seconds to load.
    models = [named(model) for model in arguments.models]
    if arguments.calibrate is not None and models[0].model is not None:
        raise UsageError(
            f"--calibrate writes a segmenter, and {models[0].header.path} is an exported file: "
            "name a segmenter, and export what comes out"
        )
    headers = [model.header for model in models]
    from effunet.data.catalog import Choice, in_classes_of, open_dataset

    choice = Choice(fold=arguments.fold)
    dataset = open_dataset(arguments.data, arguments.split, arguments.root, choice=choice)
    dataset = in_classes_of(arguments.data, dataset, headers[0].class_names, arguments.root)
    for notice in dataset.notices if processes.is_first() else ():
        print(f"effunet: {shown(notice)}", file=sys.stderr)

    from effunet.evaluation.compare import Comparison
    from effunet.evaluation.evaluate import check_fit
    from effunet.evaluation.instances import instances_line

    device = processes.device(arguments.device)
    segmenters = [model.load(device) for model in models]
    for segmenter in segmenters:
        keep_blocks_for(segmenter)
        check_fit(segmenter, dataset)
    out: Path | None = arguments.out if processes.is_first() else None
    if out is not None:
        prepare_folder(out)
    way, names = way_of(arguments), names_of(arguments.models)
    reports = [
        _evaluated(segmenter, dataset, way, name, arguments)
        for name, segmenter in zip(names, segmenters, strict=True)
    ]
    comparison = Comparison(names, tuple(reports), seeds_of(headers)) if len(names) > 1 else None
    calibrated = _calibrated(segmenters[0], dataset, way, arguments, reports[0])
    if not processes.is_first():
        return 0
    _print(arguments, names, reports, comparison, calibrated)
    if (line := instances_line(dataset)) and not arguments.json:
        print(line)
    if out is not None:
        from effunet.evaluation.write import write_comparison, write_report

        places = [out / name if comparison else out for name in names]
        described = zip(places, headers, segmenters, reports, strict=True)
        written = [
            write_report(place, report, segmenter, dataset, way, str(header.path))
            for place, header, segmenter, report in described
        ]
        if comparison is not None:
            write_comparison(out, comparison, written)
        if not arguments.json:
            print(f"\nwrote {shown(out / 'index.html')} and metrics.json beside it")
    return _unreadable(dataset, reports[0])


def _check_words(arguments: Namespace) -> None:
    if arguments.calibrate is None:
        return
    if len(arguments.models) > 1:
        raise UsageError("--calibrate writes one segmenter: name one MODEL")
    if processes.world() > 1:
        raise UsageError("--calibrate works in one process: start it without torchrun")
    file: Path = arguments.calibrate
    taken = [artifact.find(arguments.models[0])]
    if arguments.out is not None:
        taken += [
            arguments.out / name for name in ("metrics.json", "predictions.png", "index.html")
        ]
    if file.resolve() in [path.resolve() for path in taken]:
        raise UsageError(f"--calibrate {file} is read or written here already: name another file")
    prepare_file(file, "--calibrate")


def _evaluated(
    segmenter: "Predictor", dataset: "Dataset", way: "Way", name: str, arguments: Namespace
) -> "Report":
    from effunet.evaluation.evaluate import evaluate

    what = f"{name} on {dataset.name} {dataset.split}"
    with progress(what, shows=processes.is_first()) as tell:
        return evaluate(
            segmenter,
            dataset,
            way=way,
            regions=arguments.out is not None,
            strict=arguments.strict,
            resamples=arguments.resamples,
            progress=tell,
        )


def _calibrated(
    segmenter: "Predictor",
    dataset: "Dataset",
    way: "Way",
    arguments: Namespace,
    report: "Report",
) -> dict[str, Any] | None:
    """Fit on what was counted and write the segmenter that says so; None where nobody asked."""
    if arguments.calibrate is None:
        return None
    from effunet.evaluation.calibrate import calibrate
    from effunet.segmenter import Segmenter

    assert isinstance(segmenter, Segmenter)  # an exported file was refused before

    with progress("calibrating") as tell:
        calibrated = calibrate(
            segmenter, dataset, way=way, images=report.counts.images.tolist(), progress=tell
        )
    calibrated.save(arguments.calibrate)
    return calibrated.metadata["calibration"]


def _print(
    arguments: Namespace,
    names: tuple[str, ...],
    reports: "list[Report]",
    comparison: Any,
    calibrated: dict[str, Any] | None,
) -> None:
    from effunet.evaluation.report import to_json
    from effunet.evaluation.table import number_lines, part_lines, table_of

    if arguments.json:
        facts = reports[0].to_plain() if comparison is None else comparison.to_plain()
        print(to_json(facts))
        return
    out = console()
    plain = not out.is_terminal
    first = reports[0]
    for model, report in zip(arguments.models, reports, strict=True):
        where = f"{report.dataset}, split {report.split}"
        out.print(f"{shown(model)} on {where}: {report.images} images, {report.how}\n")
        facts = report.to_plain()
        out.print(table_of(facts, plain=plain))
        for line in (*number_lines(facts), *part_lines(facts)):
            out.print(line)
        if 1 < report.images < FEW and report.resamples:
            out.print(f"only {report.images} images: these intervals are too narrow to rely on")
        out.print()
    if comparison is not None:
        out.print(f"{len(names)} segmenters on {first.dataset}, split {first.split}\n")
        out.print(comparison.table(plain=plain))
        for line in comparison.seed_lines():
            out.print(line)
    if calibrated is not None:
        threshold = calibrated["threshold"]
        also = "" if threshold is None else f", threshold {threshold:.3f}"
        out.print(
            f"calibrated on this split: temperature {calibrated['temperature']:.3f}{also}; "
            f"wrote {shown(arguments.calibrate)}"
        )


def _unreadable(dataset: "Dataset", report: "Report") -> int:
    """The exit code, and a line for each image that could not be counted."""
    for name, why in report.unreadable:
        print(f"effunet: {shown(name)} is not counted: {shown(why)}", file=sys.stderr)
    if not report.unreadable:
        return 0
    print(
        f"effunet: {len(report.unreadable)} of {len(dataset)} images of {shown(dataset.name)}, "
        f"split {dataset.split}, were not counted; all others are. Mend them, or "
        "--strict stops at the first",
        file=sys.stderr,
    )
    return DataError.exit_code
