"""What the numbers of an image file mean: how many channels, and which raw values are 0 and 255."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Shaped, UInt8
from numpy import ndarray


@dataclass(frozen=True)
class Pixels:
    """How the raw values of an image become bytes, and what these are normalised with.

    ranges are the raw values that become 0 and 255, one pair for all channels or one a channel;
    none: 8 bit as they are, 16 bit from 0 to 65535. mean and std are of the result in 0..1, one
    number a channel; none: the network's own.
    """

    channels: int = 3
    ranges: tuple[tuple[float, float], ...] = ()
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()

    def to_bytes(self, raw: Shaped[ndarray, "*size"]) -> UInt8[ndarray, "*size"]:
        """Raw values as bytes: linear in the range, rounded, cut at its ends."""
        if not self.ranges:
            if raw.dtype == np.uint8:
                return raw
            # 65535 is 257 times 255.
            return ((raw.astype(np.uint32) + 128) // 257).astype(np.uint8)
        low, high = self._ends()
        scaled = (raw.astype(np.float64) - low) * (255 / (high - low))
        return np.rint(np.clip(scaled, 0, 255)).astype(np.uint8)

    def _ends(self) -> Float64[ndarray, "2 ..."]:
        """The low and the high end, of one range or of one a channel."""
        ends = np.array(self.ranges, np.float64).T
        return ends[:, 0] if len(self.ranges) == 1 else ends


GREY, RGB = Pixels(1), Pixels(3)
