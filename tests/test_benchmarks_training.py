"""The training benchmark counts what it says it counts, and its command gives a whole answer."""

import importlib
import json
import subprocess
import sys
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"
pytestmark = pytest.mark.skipif(not BENCHMARKS.is_dir(), reason="a copy without benchmarks/")

Load = Callable[[str], ModuleType]


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Load:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module


def meta(*shape: int, **options: bool) -> Tensor:
    return torch.empty(shape, device="meta", **options)


def test_a_convolution_moves_input_weight_and_output(load: Load):
    image, weight = meta(2, 3, 8, 8), meta(5, 3, 3, 3)
    counter = load("traffic").traffic(lambda: F.conv2d(image, weight, padding=1))
    output = 2 * 5 * 8 * 8
    assert counter.kinds == {
        "convolution, dense": 4 * (image.numel() + weight.numel() + output),
    }
    assert counter.outputs["convolution, dense"] == counter.last_output == 4 * output


def test_a_batch_norm_reads_its_features_twice(load: Load):
    feature, row = meta(2, 3, 8, 8), [meta(3) for _ in range(4)]
    counter = load("traffic").traffic(lambda: F.batch_norm(feature, *row, training=True))
    small = 4 * 3 * 4 + 4 * 3 * 2  # what it is given a channel, and the statistics that it saves
    assert counter.kinds["batch norm"] == 4 * 3 * feature.numel() + small


def test_both_kernels_behind_a_convolution_read_the_gradient(load: Load):
    image, weight = meta(2, 3, 8, 8, requires_grad=True), meta(5, 3, 1, 1, requires_grad=True)
    output = F.conv2d(image, weight)
    gradient = meta(*output.shape)
    counter = load("traffic").traffic(lambda: output.backward(gradient))
    given = 2 * gradient.numel() + image.numel() + weight.numel()
    assert counter.kinds["convolution, 1x1"] == 4 * (given + image.numel() + weight.numel())


def test_views_move_nothing_and_what_is_expanded_is_read_once(load: Load):
    row = meta(1, 3, 1, 1)
    counter = load("traffic").traffic(lambda: row.expand(2, 3, 8, 8).permute(0, 2, 3, 1) + 1)
    assert counter.total == 4 * (3 + 2 * 3 * 8 * 8)


@pytest.mark.parametrize(("encoder", "fused", "eager"), [("b0", 0.81, 2.95), ("b3", 1.35, 4.78)])
def test_the_bytes_of_smps_unet_are_those_of_an_earlier_count(
    load: Load, encoder: str, fused: float, eager: float
):
    given = Namespace(encoder=encoder, classes=19, size=512, batch=8, precision="bf16")
    found = load("floor").count("smp", given)
    # The earlier count took expanded tensors for whole ones, which is about a hundredth.
    assert found["fused"] / 1e9 == pytest.approx(fused, abs=0.01)
    assert found["eager"] / 1e9 == pytest.approx(eager, rel=0.02)
    assert found["kinds"]["rest"] < 0.001 * found["eager"]


def test_what_is_saved_is_counted_once_and_without_the_weights(load: Load):
    memory = load("memory")
    weight, image = torch.ones(10, 10, requires_grad=True), torch.ones(4, 10)

    def forward() -> Tensor:
        feature = image @ weight
        return (feature.sin() + feature.cos()).sum()  # both need the feature, the product the image

    # The image is no operator's result: it was there before.
    assert memory.saved_bytes(forward, [weight]) == 4 * (4 * 10 + 4 * 10)
    assert memory.held_bytes(forward, [weight]) == 4 * (4 * 10 + 1)


def test_what_a_function_keeps_by_itself_is_held_though_it_is_not_saved(load: Load):
    class Square(torch.autograd.Function):
        @staticmethod
        def forward(ctx: object, value: Tensor) -> Tensor:
            ctx.kept = value + value  # pyright: ignore
            return value * value

        @staticmethod
        def backward(ctx: object, *gradients: Tensor) -> Tensor:
            return gradients[0] * ctx.kept  # pyright: ignore

    memory, value = load("memory"), torch.ones(100, requires_grad=True)
    forward = lambda: Square.apply(value).sum()  # noqa: E731
    assert memory.saved_bytes(forward, [value]) == 0
    assert memory.held_bytes(forward, [value]) == 4 * (100 + 1)


def test_a_row_that_ends_is_named(load: Load):
    turns = load("turns")
    with pytest.raises(SystemExit, match="row lost has ended"), turns.Rows(1) as rows:
        rows.start("lost", ["-c", "pass"], {})
        rows.turn()


def test_rows_answer_in_turn_with_threads_pinned(load: Load):
    turns = load("turns")
    code = "import os, turns; turns.serve(lambda: {'threads': os.environ['OMP_NUM_THREADS']})"
    with turns.Rows(1) as rows:
        for name in ("first", "second"):
            rows.start(name, ["-c", code], {"PYTHONPATH": str(BENCHMARKS)})
        for _ in range(2):
            assert rows.turn() == {"first": {"threads": "1"}, "second": {"threads": "1"}}


def test_a_ratio_is_the_median_of_the_rounds_own(load: Load):
    assert load("turns").ratio([2.0, 9.0, 8.0], [1.0, 3.0, 4.0]) == [2.0, 2.0, 3.0]


@pytest.mark.slow
@pytest.mark.long
def test_unequal_networks_are_not_compared(load: Load, tmp_path: Path):
    work, setting = load("equal_work"), load("steps").Setting
    given = setting("b0", 64, 2, 19, torch.device("cpu"), "32")
    weights = tmp_path / "unets.pth"
    assert work.prepare(given, weights)["gradients"] < 1e-9
    smp, step = work.NETWORKS["smp"]("b0", 19), load("steps").Step("unet", given, weights)
    with pytest.raises(SystemExit, match="not the same work: evaluation"):
        work.check(smp, step.network, given)


@pytest.mark.slow
@pytest.mark.long
def test_the_command_gives_a_whole_answer():
    rows, shape = ["smp", "unet", "efficient"], ["--size", "64", "--batch", "2"]
    words = ["--rounds", "2", *shape, "--json", "--rows", *rows]
    done = subprocess.run(
        [sys.executable, "training.py", *words], cwd=BENCHMARKS, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert set(found["rows"]) | set(found["left_out"]) == {"smp", "unet", "efficient"}
    for row in found["rows"].values():
        assert row["saved_bytes"] > 0 and row["peak_bytes"] > row["saved_bytes"]
        assert row["images_per_s"] == pytest.approx(2 / row["median_s"])
    assert found["rows"]["smp"]["smp_over_this"] == [1.0, 1.0, 1.0]
