"""Outlines that several things share."""

from functools import cache

import numpy as np

from effunet.data.street.camera import NEAR, Points


@cache
def disc(radius: float, corners: int = 12) -> Points:
    """A regular polygon (corners, 2), rounded so that no machine's sine decides a pixel."""
    angle = (np.arange(corners) + 0.5) * (2 * np.pi / corners)
    return np.round(np.stack([np.cos(angle), np.sin(angle)], 1), 4) * radius


def streak(x: float, z: float, tall: float, half: float, sun: tuple[float, float, float]) -> Points:
    """The shadow of something thin."""
    dx, dz = -sun[0] / sun[1] * tall, -sun[2] / sun[1] * tall
    end = max(z + dz, NEAR)
    return np.array([(x - half, z), (x + half, z), (x + dx + half, end), (x + dx - half, end)])
