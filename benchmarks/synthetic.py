"""Synthetic street scenes a second on one core, beside reading the same from PNG with Pillow.

    python benchmarks/synthetic.py [images] [size]

Prints one JSON line; `ratio` (renders / decodes a second) is what other machines can compare.
"""

import io
import json
import sys
import time
from collections.abc import Callable

import cv2
import numpy as np
from PIL import Image

from effunet.data.synthetic import render


def rate(work: Callable[[int], object], images: int) -> float:
    """Images a second of processor time, so that a busy neighbour does not count."""
    start = time.process_time()
    for index in range(images):
        work(index)
    return images / (time.process_time() - start)


def main(images: int = 300, size: int = 256) -> None:
    cv2.setNumThreads(1)
    files: list[bytes] = []
    for index in range(images):
        file = io.BytesIO()
        Image.fromarray(render(0, index, size, size)[0]).save(file, "png")
        files.append(file.getvalue())

    def decode(index: int) -> np.ndarray:
        return np.asarray(Image.open(io.BytesIO(files[index])).convert("RGB"))

    # Interleaved, and the best of three: both see the same state of the machine.
    pairs = [
        (rate(lambda i: render(0, i, size, size), images), rate(decode, images)) for _ in range(3)
    ]
    rendered, decoded = max(a for a, _ in pairs), max(b for _, b in pairs)
    line = {
        "benchmark": "synthetic",
        "size": size,
        "images": images,
        "renders_per_second": round(rendered, 1),
        "png_decodes_per_second": round(decoded, 1),
        "ratio": round(rendered / decoded, 3),
    }
    print(json.dumps(line))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:3]))
