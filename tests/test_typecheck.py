"""The checks that every other test runs under."""

import numpy as np
import pytest
import torch
import typecheck
from beartype.roar import BeartypeCallHintViolation

from effunet.metrics.confusion import confusion
from effunet.model import raw
from effunet.tensors import Image

refused = pytest.raises(BeartypeCallHintViolation)


def test_an_argument_of_another_type_is_refused() -> None:
    with refused:
        raw.count_macs(torch.nn.Identity, 3, "64", 64)  # pyright: ignore[reportArgumentType]


def test_an_array_of_other_dimensions_is_refused() -> None:
    with refused:
        raw.normalise(torch.zeros(3, 4, 4), torch.zeros(1, 3, 1, 1), torch.ones(1, 3, 1, 1), 1)


def test_sizes_of_one_name_are_alike_within_a_call_and_not_beyond_it() -> None:
    square, wide = np.zeros((4, 4), np.uint8), np.zeros((4, 8), np.uint8)
    confusion(square, square, 2)
    confusion(wide, wide, 2)
    with refused:
        confusion(square, wide, 2)


def test_a_result_of_other_sizes_than_it_is_said_to_have_is_refused() -> None:
    def halved(image: Image) -> Image:
        return image[..., ::2]

    with refused:
        typecheck.decorator(typechecker=typecheck.check)(halved)(torch.zeros(1, 3, 4, 4))
