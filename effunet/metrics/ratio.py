"""One way to divide counts, for every score."""

from typing import Any

import numpy as np
from jaxtyping import Float64
from numpy import ndarray


def ratio(part: Any, whole: Any) -> Float64[ndarray, "..."]:
    """Part / whole of arrays or numbers; NaN (and no warning) where the whole is nothing."""
    whole = np.asarray(whole, dtype=np.float64)
    return np.divide(part, whole, out=np.full(whole.shape, np.nan), where=whole > 0)
