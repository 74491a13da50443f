"""Semantic segmentation with EfficientNet encoders: train, evaluate and use a segmenter.

    from effunet import Segmenter
    mask = Segmenter.load("runs/latest")("photo.jpg").mask

The public words are loaded when they are first used: `import effunet` takes no torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from effunet.data.catalog import open_dataset
    from effunet.data.dataset import Dataset
    from effunet.evaluation.evaluate import evaluate
    from effunet.labels import LabelMap
    from effunet.model.encoder import EfficientNet
    from effunet.model.network import EffUNet
    from effunet.prediction import Prediction
    from effunet.segmenter import Segmenter

__all__ = [
    "Dataset",
    "EffUNet",
    "EfficientNet",
    "LabelMap",
    "Prediction",
    "Segmenter",
    "evaluate",
    "open_dataset",
]

_HOMES = {
    "Dataset": "effunet.data.dataset",
    "EffUNet": "effunet.model.network",
    "EfficientNet": "effunet.model.encoder",
    "LabelMap": "effunet.labels",
    "Prediction": "effunet.prediction",
    "Segmenter": "effunet.segmenter",
    "evaluate": "effunet.evaluation.evaluate",
    "open_dataset": "effunet.data.catalog",
}


def __getattr__(name: str) -> Any:
    """Load a public word from its home."""
    if name not in _HOMES:
        raise AttributeError(f"module 'effunet' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
