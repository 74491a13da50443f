"""Arrays of bytes -> how often each value occurs: the one way in which the checks count pixels."""

import cv2
import numpy as np
from jaxtyping import Int64, UInt8

_STRIP = 2**24
"""OpenCV counts in integers but answers in float32, which holds every integer up to this one."""


def byte_counts(values: UInt8[np.ndarray, "H W"]) -> Int64[np.ndarray, " 256"]:
    """Pixels of each value 0..255; three times as fast as numpy's bincount."""
    counts = np.zeros(256, np.int64)
    rows = max(1, _STRIP // max(1, values.shape[1]))
    for top in range(0, values.shape[0], rows):
        strip = np.ascontiguousarray(values[top : top + rows])
        counts += cv2.calcHist([strip], [0], None, [256], [0, 256]).reshape(-1).astype(np.int64)
    return counts
