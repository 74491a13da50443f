"""A segmenter to an exported file that has proved itself; or nothing, and the reason."""

import tempfile
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8
from numpy import ndarray

from effunet.errors import ModelError
from effunet.export.devices import Size
from effunet.export.facts import facts_of
from effunet.export.formats import Draft, Format, Precision, Work
from effunet.export.graph import Graph, Output
from effunet.export.int8 import Crops
from effunet.export.proof import Bounds, Proof, Run, bounds_of, photos, prove, running, scenes
from effunet.export.sensitivity import MOST, Labelled
from effunet.exported import Exported
from effunet.model.deciding import decided, probable
from effunet.predictor import Predictor
from effunet.runtime import RUNTIMES, Model
from effunet.segmenter import Segmenter


@dataclass(frozen=True)
class Images:
    """What an export is made and proved with, besides scenes, noise, black and white."""

    photos: Sequence[UInt8[ndarray, "H W C"]] = ()
    calibration: Crops = ()  # 8 bits: of the training split
    judged: Labelled = ()  # 8 bits: others of it
    most: float = MOST  # 8 bits: points of mIoU that may be lost on these


@dataclass(frozen=True)
class Proved:
    """An export that answers as its original does, in a folder of its own."""

    file: Path
    proof: Proof | None  # none of 8 bits, whose proof is its mIoU
    draft: Draft
    format: Format
    facts: dict[str, Any]

    def predictor(self) -> Predictor:
        """The file as evaluate and predict use it."""
        if self.file.suffix in RUNTIMES:
            return Exported(Model.load(self.file))
        return Exported(Model(self.facts, self.format.run(self.file)))

    def hand_over(self, target: Path, **measured: Any) -> list[Path]:
        """Write it with what was measured into its metadata, and move it where it belongs.

        Returns the files, of which those that were there are replaced.
        """
        self.draft.save(self.file, {**self.facts, **measured})
        targets = [target.with_suffix(ending) for ending in self.format.endings]
        for ending in reversed(self.format.endings):  # what is named comes last
            self.file.with_suffix(ending).replace(target.with_suffix(ending))
        return targets


@contextmanager
def proved(
    segmenter: Segmenter,
    format: Format,
    folder: Path,
    *,
    output: Output = "logits",
    precision: Precision = "fp32",
    size: Size | None = None,
    images: Images | None = None,
) -> Generator[Proved]:
    """Make an export and run it beside the original.

    Args:
        segmenter: on a CPU.
        format: of FORMATS; its `check` has passed.
        folder: where the export will go: the work is done in a hidden folder there, which is gone
            at the end.
        output: what the file gives.
        precision: of weights, and with 8 bits of activations.
        size: height and width of the images that a format of one size is to take.
        images: for proof and calibration.

    Raises:
        ModelError: the export's answers lie outside of the bounds.
    """
    images = images or Images()
    original = original_of(segmenter, output)
    with tempfile.TemporaryDirectory(prefix=".export-", dir=folder) as name:
        work = Work(
            Graph(
                segmenter.network,
                output,
                segmenter.calibration,
                doubling=format.doubling_int8 if precision == "int8" else format.doubling,
            ),
            precision,
            Path(name),
            original,
            len(segmenter.labels),
            images.calibration,
            images.judged,
            images.most,
            size,
        )
        draft = format.draft(work)
        file = work.folder / f"model{format.endings[0]}"
        facts = facts_of(segmenter, output, precision)
        if draft.trials:
            facts["float32_parts"] = list(draft.trials[-1].kept)
        if size is not None:
            facts["size"] = list(size)
        draft.save(file, facts)
        proof = None
        if bounds := bounds_of(precision, output == "probabilities"):
            if size is None:
                batches = chain(scenes(segmenter.channels), photos(images.photos))
            else:
                fitting = [photo for photo in images.photos if photo.shape[:2] == size]
                batches = chain(scenes(segmenter.channels, [size], [1]), photos(fitting))
            proof = prove(original, format.run(file), batches)
            if not proof.holds(bounds):
                raise ModelError(_refused(format, proof, bounds))
            facts["proof"] = proof.to_plain()
        yield Proved(file, proof, draft, format, facts)


def original_of(segmenter: Segmenter, output: Output) -> Run:
    """What the segmenter's own network answers, as an export's output."""
    network, calibration = segmenter.network, segmenter.calibration
    network.eval()
    logits = running(network)

    def run(batch: ndarray) -> ndarray:
        found = torch.from_numpy(logits(batch))
        if output == "logits":
            return found.numpy()
        seen = [probable(one, calibration.temperature) for one in found]
        if output == "mask":
            seen = [decided(one, calibration.threshold)[0] for one in seen]
        return np.stack([one.numpy() for one in seen])

    return run


def _refused(format: Format, proof: Proof, bounds: Bounds) -> str:
    far = ""
    if proof.difference is not None:
        far = (
            f"it differs by {proof.difference:.1e} of the answers' range "
            f"({bounds.difference:.0e} is allowed), and "
        )
    return (
        f"the {format.title} file does not answer as the segmenter does: {far}names the same class "
        f"on {100 * proof.agreement:.3f} % of the pixels ({100 * bounds.agreement:.2f} % are asked "
        "for); nothing was written"
    )
