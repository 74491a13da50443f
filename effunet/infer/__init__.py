"""Images of any size to probabilities or masks: whole, in tiles, at several scales, mirrored."""

from effunet.infer.predict import blocks, predict, predict_decided, predict_mask, strips
from effunet.infer.way import WHOLE, Way

__all__ = ["WHOLE", "Way", "blocks", "predict", "predict_decided", "predict_mask", "strips"]
