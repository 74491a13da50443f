"""The parts of `effunet benchmark` that take no process: statistics, rounds, machine, messages."""

from argparse import ArgumentTypeError
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_segmenter import saved, tiny_segmenter

from effunet.commands.benchmark import machine, measure, row, size
from effunet.commands.benchmark.rows import Row
from effunet.commands.benchmark.spread import speeds, spread
from effunet.commands.benchmark.subject import made_images, open_subject
from effunet.commands.benchmark.table import megabytes, milliseconds
from effunet.errors import ModelError, ResourceError
from effunet.infer import predict_mask


@given(st.lists(st.floats(1e-6, 1e3), min_size=1, max_size=50))
def test_a_spread_is_the_quantiles_that_numpy_gives(values: list[float]):
    found = spread(values)
    expected = np.quantile(values, [0.5, 0.05, 0.95, 0, 1])
    numbers = [found.median, found.p05, found.p95, found.least, found.most]
    assert numbers == pytest.approx(expected, rel=1e-9)


def test_speed_is_of_the_same_round_so_that_a_busy_one_moves_it_not():
    first, other = [1.0, 10.0, 2.0], [0.5, 5.0, 1.0]
    assert speeds(first, other) == [2.0, 2.0, 2.0]
    assert spread(speeds(first, other)).median == 2.0


class FakeRow(Row):
    """Answers with a given time, and notes when it was asked."""

    def __init__(self, name: str, seconds: float, asked: list[str]) -> None:
        self.name, self.seconds, self.asked = name, seconds, asked

    def round(self) -> dict[str, Any]:
        self.asked.append(self.name)
        return {"seconds": {"mask": self.seconds}}


@pytest.mark.parametrize(
    ("rounds", "seconds", "expected"),
    [
        (None, 6.0, 40),  # 0.3 s a round for two models that have 6 s each
        (None, 0.1, measure.LEAST),
        (None, 3600.0, measure.MOST),
        (2, 6.0, 2),
    ],
)
def test_rounds_last_as_long_as_asked_for(rounds: int | None, seconds: float, expected: int):
    rows: Any = [FakeRow("a", 0.1, []), FakeRow("b", 0.2, [])]
    told: list[tuple[int, int]] = []
    found = measure._rounds(rows, rounds, seconds, lambda *now: told.append(now))
    assert len(found) == expected and told[-1] == (expected, expected)
    assert {tuple(answer["seconds"]["mask"] for answer in turn) for turn in found} == {(0.1, 0.2)}


def test_models_take_turns_and_none_always_follows_the_same():
    asked: list[str] = []
    rows: Any = [FakeRow(name, 1.0, asked) for name in "abc"]
    measure._rounds(rows, 3, 1.0, lambda done, total: None)
    assert "".join(asked) == "abccbaabc"


def test_works_do_what_a_user_calls(tmp_path: Path):
    segmenter = tiny_segmenter()
    subject = open_subject(str(saved(tmp_path)), 40, 56, 1, "cpu")
    image = made_images(1, 40, 56, 3)[0]
    assert np.array_equal(subject.works["mask"](), predict_mask(segmenter, image).numpy())
    assert subject.works["network"]() is None
    assert subject.macs == segmenter.network.macs(40, 56)
    assert (subject.device, subject.device_name, subject.precision) == ("cpu", "cpu", "float32")


def test_images_have_the_size_asked_for_and_are_the_same_in_every_process():
    images = made_images(2, 33, 50, 4)
    assert images.shape == (2, 33, 50, 4) and images.dtype == np.uint8
    assert images.flags.c_contiguous and np.array_equal(images, made_images(2, 33, 50, 4))
    assert len(np.unique(images)) > 20


def test_pins_name_each_core_once():
    pins = machine.pins([2, 5])
    assert pins["OMP_NUM_THREADS"] == "2"
    if machine.can_pin():
        assert (pins["OMP_PLACES"], pins["OMP_PROC_BIND"]) == ("{2},{5}", "close")


@pytest.mark.parametrize(
    ("load", "used", "busy"), [(0.3, 8, False), (1.0, 8, True), (6.0, 2, False), (7.0, 2, True)]
)
def test_a_machine_is_busy_where_others_need_the_cores(
    load: float, used: int, busy: bool, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("os.cpu_count", lambda: 8)
    monkeypatch.setattr("os.getloadavg", lambda: (load, 0.0, 0.0))
    assert machine.described(list(range(used)))["busy"] is busy


@pytest.mark.parametrize(
    ("text", "expected"),
    [("512", (512, 512)), ("1024x2048", (1024, 2048)), ("1x65536", (1, 65536))],
)
def test_a_size_is_height_by_width(text: str, expected: tuple[int, int]):
    assert size(text) == expected


@pytest.mark.parametrize(
    "text", ["", "x", "0x5", "5x0", "12x", "1e3", "5x5x5", "\N{ARABIC-INDIC DIGIT FIVE}", "65537"]
)
def test_what_is_no_size_is_refused(text: str):
    with pytest.raises(ArgumentTypeError):
        size(text)


def test_images_that_no_memory_holds_are_refused_before_it_is_taken(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(row, "available_memory", lambda: 10**9)
    row.check_memory(1000, 1000, 5, beside=2)
    with pytest.raises(ResourceError, match=r"1\.2 GB at the least for 3 models, and 1 GB are"):
        row.check_memory(1000, 1000, 4, beside=3)
    monkeypatch.setattr(row, "available_memory", lambda: None)
    row.check_memory(10**6, 10**6, 1024, beside=9)


def test_lack_of_memory_is_told_with_the_size_and_what_to_change():
    request = {"model": "runs/a", "height": 8, "width": 9, "batch": 2}
    said, code = row._told(MemoryError(), request)
    assert code == 5
    assert said == "runs/a: out of memory at 8 x 9, batch 2: use a smaller --size or --batch"
    assert row._told(ModelError("refused"), request) == ("refused", 4)
    assert row._told(ResourceError("no GPU"), request) == ("no GPU", 5)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0000012, "0.00"), (0.00123, "1.23"), (0.0123, "12.3"), (0.1234, "123"), (12.3, "12300")],
)
def test_times_are_told_in_milliseconds_of_three_digits(seconds: float, text: str):
    assert milliseconds(seconds) == text


def test_what_the_system_does_not_tell_is_a_dash():
    assert (megabytes(None), megabytes(25_300_000)) == ("-", "25")
