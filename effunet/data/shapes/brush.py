"""Label Studio's packed brush strokes -> a bitmap.

A stream of bits, highest first: 32 for how many values there are, 5 for the bits of a value less
one, four times 4 for the bits of a length less one; then runs: 1 bit for whether one value stands
for the whole run, 2 for which of the four lengths, the length less one, the value or values. The
values are red, green, blue and alpha of every pixel, row by row, and what has alpha is painted
(label_studio_sdk, converter/brush.py; the packing is rle-pack of thi.ng/umbrella).
"""

import numpy as np
from jaxtyping import Bool

from effunet.data.shapes.rle import Bits

_CHANNELS = 4


def read_brush(packed: bytes, size: tuple[int, int]) -> Bits:
    """The painted pixels of an image of size (height, width).

    The size must have been checked before: memory is taken for it.

    Raises:
        ValueError: the stream is cut, or holds another number of values than the image has.
    """
    stream = _Stream(packed)
    count = stream.take(32)
    if count != _CHANNELS * size[0] * size[1]:
        raise ValueError(
            f"the brush holds {count} values, but the image of {size[0]} x {size[1]} (height x "
            f"width) has {_CHANNELS * size[0] * size[1]}"
        )
    bits = stream.take(5) + 1
    lengths = [stream.take(4) + 1 for _ in range(4)]
    values = np.zeros(count, np.bool_)
    place = 0
    while place < count:
        same = stream.take(1)
        end = place + stream.take(lengths[stream.take(2)]) + 1
        if end > count:
            raise ValueError("a run of the brush goes on behind the image")
        if same:
            values[place:end] = stream.take(bits) > 0
        else:
            values[place:end] = stream.take_many(end - place, bits)
        place = end
    return values.reshape(*size, _CHANNELS)[..., _CHANNELS - 1]


class _Stream:
    """Bits of bytes, highest first."""

    def __init__(self, data: bytes) -> None:
        self.data, self.place = data, 0

    def take(self, bits: int) -> int:
        """The next number of so many bits."""
        first, self.place = self.place, self.place + bits
        piece = self.data[first // 8 : -(-self.place // 8)]
        self._check()
        return int.from_bytes(piece) >> (-self.place % 8) & ((1 << bits) - 1)

    def take_many(self, count: int, bits: int) -> Bool[np.ndarray, " N"]:
        """Whether each of the next numbers is above 0."""
        first, self.place = self.place, self.place + count * bits
        self._check()
        piece = np.frombuffer(self.data[first // 8 : -(-self.place // 8)], np.uint8)
        flat = np.unpackbits(piece)[first % 8 : first % 8 + count * bits]
        return np.any(flat.reshape(count, bits), axis=1)

    def _check(self) -> None:
        if self.place > 8 * len(self.data):
            raise ValueError("the brush is cut")
