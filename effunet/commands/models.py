"""MODEL on a command line: a segmenter, or an exported file; told apart by the name's ending."""

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from effunet import artifact
from effunet.errors import ModelError, UsageError

if TYPE_CHECKING:  # they take torch and numpy, which a command loads after its checks
    from effunet import runtime
    from effunet.predictor import Predictor


@dataclass(frozen=True)
class Named:
    """What a name leads to, before torch is loaded."""

    header: artifact.Header
    model: "runtime.Model | None"  # of an exported file

    def load(self, device: str) -> "Predictor":
        """Make it ready to predict.

        Args:
            device: cpu, cuda or auto, or torch's own names; exported files run on the CPU.

        Raises:
            ModelError: it is damaged.
            UsageError: an exported file, and not the CPU.
        """
        if self.model is None:
            from effunet.segmenter import Segmenter

            return Segmenter.load(self.header.path, device)
        if device not in ("auto", "cpu"):
            raise UsageError(
                f"{self.header.path} is an exported file, which effunet runs on the CPU: "
                "leave --device out, or name the segmenter"
            )
        from effunet.exported import Exported

        return Exported(self.model, str(self.header.path))


def named(model: str | Path, threads: int | None = None) -> Named:
    """Read what can be read without torch.

    Args:
        model: the name.
        threads: of an exported file's runtime; None: its own choice.

    Raises:
        ModelError: no such file, none of ours, or damaged.
        UsageError: the runtime of an exported file is not installed.
    """
    file = Path(model)
    if file.suffix.lower() not in artifact.EXPORTS or "://" in str(model):
        return Named(artifact.inspect(model), None)
    from effunet import runtime

    needs = runtime.RUNTIMES[file.suffix.lower()]
    if find_spec(needs) is None:
        extra = needs.removesuffix("runtime")
        raise UsageError(f"{file} needs {needs}: pip install 'effunet[{extra}]'")
    try:
        opened = runtime.Model.load(file, threads)
    except runtime.ExportError as error:
        raise ModelError(str(error)) from error
    files = [file, file.with_suffix(".bin")] if needs == "openvino" else [file]
    size = sum(part.stat().st_size for part in files)
    return Named(artifact.Header(file, opened.facts, {}, size), opened)
