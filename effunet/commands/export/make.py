"""`effunet export`: a segmenter -> a proved file, and what it loses on a dataset."""

import sys
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from shutil import copyfile
from typing import TYPE_CHECKING, Any

from effunet import artifact, runtime
from effunet.commands.outputs import prepare_file
from effunet.commands.terminal import console, progress, shown
from effunet.errors import UsageError

if TYPE_CHECKING:
    from effunet.data.dataset import Dataset
    from effunet.evaluation.report import Report
    from effunet.export.export import Images, Proved
    from effunet.export.losses import Losses
    from effunet.segmenter import Segmenter

PHOTOS = 3
"""Images of the dataset on which both have to agree pixel by pixel."""

TRAINING = 48
"""Images of the training split: ranges are taken from every other one, the rest judge 8 bits."""

LARGEST = 512
"""Height and width of what is cut out of them."""


ENDINGS = {
    "onnx": ".onnx",
    "openvino": ".xml",
    "torchscript": ".torchscript",
    "torch-export": ".pt2",
    "executorch": ".pte",
    "litert": ".tflite",
}
"""Of the file that is named, by format; a wrong --out is told before torch is loaded."""


def run(arguments: Namespace) -> int:
    """Export; nothing is written unless the file holds what it is asked."""
    if arguments.precision == "int8" and arguments.data is None:
        raise UsageError(
            "--precision int8 needs --data NAME_OR_DIR: its ranges are taken from the training "
            "split, and what it loses is measured; without a dataset, fp16 halves the file"
        )
    header = artifact.inspect(arguments.model)
    target = _target(arguments, header.path)
    from effunet.export.formats import FORMATS

    format = FORMATS[arguments.format]
    format.check(arguments.precision, arguments.size, arguments.format)
    if arguments.with_runner and format.endings[0] not in runtime.RUNTIMES:
        raise UsageError(
            f"--with-runner is for onnx and openvino: runtime.py does not run {arguments.format}"
        )
    dataset = _opened(arguments, header, arguments.split) if arguments.data else None
    prepare_file(target)

    from effunet.export.export import proved
    from effunet.segmenter import Segmenter

    segmenter = Segmenter.load(header.path)
    say = console().print
    with proved(
        segmenter,
        format,
        target.parent,
        output=arguments.output,
        precision=arguments.precision,
        size=arguments.size,
        images=_images(arguments, header, segmenter, dataset),
    ) as export:
        for line in _proof(export):
            say(line)
        measured: dict[str, Any] = {}
        if dataset is not None:
            losses = _measured(segmenter, export, dataset, arguments)
            for line in losses.lines():
                say(line)
            losses.check(arguments.max_drop, arguments.precision)
            measured["measured"] = losses.to_plain()
        files = export.hand_over(target, **measured)
    if arguments.with_runner:
        files.append(target.parent / "runtime.py")
        copyfile(runtime.__file__, files[-1])
    for file in files:
        say(f"wrote     {shown(file)}  {file.stat().st_size / 1e6:.1f} MB")
    for line in _next(target, arguments):
        say(line)
    return 0


def _target(arguments: Namespace, segmenter: Path) -> Path:
    """The file to write: with the ending that is its format's, never the segmenter itself."""
    wanted = ENDINGS[arguments.format]
    if arguments.out is None:
        words = ["model"]
        words += [] if arguments.precision == "fp32" else [arguments.precision]
        words += [] if arguments.output == "logits" else [arguments.output]
        return segmenter.parent / ("_".join(words) + wanted)
    out: Path = arguments.out
    if out.suffix.lower() != wanted:
        raise UsageError(f"--out {out}: a file of --format {arguments.format} ends in {wanted}")
    return out


def _opened(arguments: Namespace, header: artifact.Header, split: str) -> "Dataset":
    from effunet.data.catalog import in_classes_of, open_dataset

    dataset = open_dataset(arguments.data, split, arguments.root)
    for notice in dataset.notices:
        print(f"effunet: {shown(notice)}", file=sys.stderr)
    return in_classes_of(arguments.data, dataset, header.class_names, arguments.root)


def _images(
    arguments: Namespace,
    header: artifact.Header,
    segmenter: "Segmenter",
    dataset: "Dataset | None",
) -> "Images":
    """What the export is proved on, and of 8 bits calibrated and judged by."""
    from effunet.evaluation.evaluate import check_fit
    from effunet.export.export import Images
    from effunet.export.int8 import crops

    if dataset is None:
        return Images()
    check_fit(segmenter, dataset)
    photos = [dataset[place].image for place in _spread(len(dataset), PHOTOS)]
    if arguments.precision != "int8":
        return Images(photos)
    training = _opened(arguments, header, "train")
    samples = [training[place] for place in _spread(len(training), TRAINING)]
    found = crops([sample.image for sample in samples], LARGEST)
    masks = [crop[0, 0] for crop in crops([sample.mask[..., None] for sample in samples], LARGEST)]
    judged = list(zip(found, masks, strict=True))[::2]
    return Images(photos, found[1::2] or found, judged, arguments.max_drop)


def _spread(images: int, wanted: int) -> list[int]:
    """Places, evenly over all."""
    return sorted({place * images // wanted for place in range(wanted)})


def _measured(
    segmenter: "Segmenter", export: "Proved", dataset: "Dataset", arguments: Namespace
) -> "Losses":
    """The mIoU of both on the dataset; the export's on its own runtime."""
    from effunet.evaluation.evaluate import evaluate
    from effunet.export.losses import Losses

    both: list[Report] = []
    for name, predictor in (("the segmenter", segmenter), ("the export", export.predictor())):
        with progress(f"{name} on {dataset.name} {dataset.split}") as tell:
            both.append(evaluate(predictor, dataset, resamples=0, progress=tell))
    return Losses(*both)


def _proof(export: "Proved") -> Iterator[str]:
    for trial in export.draft.trials:
        taken = ", ".join(trial.taken) if trial.kept else "all parts"
        before, after = (f"{100 * miou:.2f}" for miou in trial.miou)
        yield f"int8      {taken} in 8 bits: mIoU {before} -> {after} on training images"
    proof = export.proof
    if proof is None:
        return
    far = ""
    if proof.difference is not None:
        far = f"differs by {proof.difference:.1e} of the answers' range at most, "
    sizes = "one size, one image" if export.format.fixed else "three sizes, one and two images"
    yield (
        f"proof     {len(proof.looks)} batches ({sizes} at a time, bright, dark, "
        f"random): {far}names the same class on {100 * proof.agreement:.3f} % of the pixels"
    )


def _next(target: Path, arguments: Namespace) -> Iterator[str]:
    if arguments.with_runner:
        yield f"\nnext, without effunet:\n  python {shown(target.parent / 'runtime.py')} \\"
        yield f"    {shown(target)} IMAGE --out out"
    elif target.suffix in runtime.RUNTIMES:
        yield f"\nnext:\n  effunet predict {shown(target)} IMAGE_OR_DIR --out out"
