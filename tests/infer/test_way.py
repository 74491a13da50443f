"""The way of a prediction as one value: what it takes, what it says, and its words."""

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from tiny_segmenter import random_image, tiny_segmenter

from effunet.cli import main
from effunet.commands.way import way_of
from effunet.infer import WHOLE, Way, predict


@pytest.mark.parametrize(
    ("tile", "mend"), [(100, "use 96 or 128"), (0, "use 64 or 96"), (-5, "64"), (32, "use 64")]
)
def test_a_tile_off_the_grid_is_told_the_nearest_ones(tile: int, mend: str) -> None:
    with pytest.raises(ValueError, match=mend):
        Way(tile=tile)


@pytest.mark.parametrize(
    ("scales", "mend"),
    [
        ((), "at least one: use 1"),
        ((0.0,), "0.25 to 4, got 0: use 0.25"),
        ((1.0, -2.0), "got -2: use 0.25"),
        ((5.0,), "got 5: use 4"),
        ((math.nan,), "got nan: use 1"),
        ((math.inf,), "got inf: use 4"),
        ((1.0, 0.5, 1.0), "once, got 1, 0.5, 1: use 1, 0.5"),
    ],
)
def test_scales_out_of_range_are_told_the_nearest(scales: tuple[float, ...], mend: str) -> None:
    with pytest.raises(ValueError, match=mend):
        Way(scales=scales)


@pytest.mark.parametrize(
    ("way", "words"),
    [
        (WHOLE, "whole images"),
        (Way(flip=True), "whole images, with the mirrored image"),
        (Way(scales=(0.5,)), "whole images, at scale 0.5"),
        (
            Way(512, flip=True, scales=(0.75, 1.0, 1.25)),
            "tiles of 512 pixels, at scales 0.75, 1, 1.25, with the mirrored image",
        ),
    ],
)
def test_a_way_describes_itself(way: Way, words: str) -> None:
    assert way.describe() == words


@given(
    tile=st.none() | st.integers(2, 40).map(lambda n: 32 * n),
    flip=st.booleans(),
    scales=st.none()
    | st.lists(st.sampled_from([0.25, 0.5, 0.75, 1, 1.5, 4]), min_size=1, unique=True),
)
def test_the_words_of_a_command_give_the_way(
    tile: int | None, flip: bool, scales: list[float] | None
) -> None:
    from effunet.cli import _parser  # pyright: ignore[reportPrivateUsage]

    words = ["predict", "m", "i", "--out", "o", *(["--flip"] if flip else [])]
    words += [] if tile is None else ["--tile", str(tile)]
    words += [] if scales is None else ["--scales", ",".join(map(str, scales))]
    found = way_of(_parser().parse_args(words))
    assert found == Way(tile, flip, tuple(map(float, scales or [1.0])))


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--tile", "big"], "number of pixels, got 'big'"),
        (["--tile", "100"], "use 96 or 128"),
        (["--scales", "a,b"], "numbers like 0.75,1,1.25, got 'a,b'"),
        (["--scales", ""], "numbers like"),
        (["--scales", "1,"], "numbers like"),
        (["--scales", "1,9"], "got 9: use 4"),
        (["--scales", "nan"], "got nan: use 1"),
        (["--scales", "1,0.5,1.0"], "use 1, 0.5"),
    ],
)
@pytest.mark.parametrize(
    "command", [["predict", "m", "i", "--out", "o"], ["evaluate", "m", "--data", "d"]]
)
def test_words_that_name_no_way_end_with_2_and_one_line(
    command: list[str], words: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        main([*command, *words])
    told = capsys.readouterr().err
    assert stop.value.code == 2 and told.count("\n") == 1
    assert words[0] in told and says in told


def test_the_door_writes_the_mask_of_its_way(tmp_path: Path) -> None:
    segmenter = tiny_segmenter()
    segmenter.save(tmp_path / "segmenter.safetensors")
    image = random_image(90, 101)
    Image.fromarray(image).save(tmp_path / "a.png")
    words = ["--tile", "64", "--flip", "--scales", "0.5,1,1.5", "--device", "cpu"]
    place = ["--out", str(tmp_path / "out"), "--probabilities"]
    files = [str(tmp_path / "segmenter.safetensors"), str(tmp_path / "a.png")]
    assert main(["predict", *files, *place, *words]) == 0
    expected = predict(segmenter, image, Way(64, flip=True, scales=(0.5, 1.0, 1.5)))
    with Image.open(tmp_path / "out" / "a.png") as mask:
        assert np.array_equal(np.array(mask), expected.mask)
    found = np.load(tmp_path / "out" / "a.npy")
    assert np.array_equal(found, expected.probabilities.astype(np.float16))
