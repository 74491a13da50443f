import torch
from hypothesis import given
from hypothesis import strategies as st

from effunet.model.deciding import most_probable


@given(
    classes=st.integers(1, 255),
    size=st.integers(1, 40),
    levels=st.integers(1, 9),
    seed=st.integers(),
)
def test_the_most_probable_class_is_the_first_of_the_largest(
    classes: int, size: int, levels: int, seed: int
) -> None:
    """Few levels, so that ties are the rule."""
    noise = torch.Generator().manual_seed(seed % 2**32)
    found = torch.randint(levels, (2, classes, 3, size), generator=noise) / levels
    index, confidence = most_probable(found)
    expected = found.numpy().argmax(1)
    assert index.dtype == torch.uint8 and (index.numpy() == expected).all()
    assert torch.equal(confidence, found.max(1).values)
    assert torch.equal(most_probable(found[0])[0], index[0])


def test_where_nothing_is_a_number_the_class_is_0() -> None:
    assert most_probable(torch.full((3, 2, 2), torch.nan))[0].max() == 0
