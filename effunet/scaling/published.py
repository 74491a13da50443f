"""What the article reports of B0 to B7 on ImageNet: Tan & Le, arXiv 1905.11946v5, Table 2."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Published:
    """One row; its "FLOPS" are multiply-adds."""

    top1: float  # accuracy of one crop, per cent
    parameters: float  # with the classifier of 1000 classes
    macs: float | None  # of one image at the variant's own resolution


IMAGENET = {
    "b0": Published(77.1, 5.3e6, 0.39e9),
    "b1": Published(79.1, 7.8e6, 0.70e9),
    "b2": Published(80.1, 9.2e6, 1.0e9),
    "b3": Published(81.6, 12e6, 1.8e9),
    "b4": Published(82.9, 19e6, 4.2e9),
    "b5": Published(83.6, 30e6, 9.9e9),
    "b6": Published(84.0, 43e6, 19e9),
    "b7": Published(84.3, 66e6, 37e9),
}

GPIPE = Published(84.3, 556e6, None)
"""The largest network that it compares B7 with (Huang et al. 2018), as section 1 has it."""
