import subprocess
import sys

import pytest
from tiny_segmenter import tiny_segmenter

from effunet import allocator
from effunet.commands.way import keep_blocks_for
from effunet.training import machine
from effunet.training.config.schema import Config

LARGE = """
import ctypes, resource
from effunet.allocator import keep_large_blocks
kept = keep_large_blocks() if {keep} else None
library = ctypes.CDLL(None)
library.malloc.restype = ctypes.c_void_p
def again():
    place = library.malloc(ctypes.c_size_t(2**26))
    ctypes.memset(place, 1, 2**26)
    library.free(ctypes.c_void_p(place))
again()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    again()
print(kept, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(keep: bool) -> tuple[str, int]:
    """Page faults of five uses of 64 MiB after a first, and what keep_large_blocks said."""
    words = [sys.executable, "-c", LARGE.format(keep=keep)]
    kept, count = subprocess.run(words, capture_output=True, text=True, check=True).stdout.split()
    return kept, int(count)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc is Linux's")
def test_a_large_block_is_paid_for_once() -> None:
    kept, with_it = faults(keep=True)
    assert kept == "True"
    _, without = faults(keep=False)
    assert with_it < 100 < without


@pytest.mark.parametrize("platform", ["win32", "darwin"])
def test_elsewhere_it_does_nothing(platform: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(allocator.ctypes, "CDLL", lambda name: pytest.fail("it looked"))
    assert not allocator.keep_large_blocks()


def test_another_c_library_than_glibc_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(allocator.ctypes, "CDLL", lambda name: object())
    assert not allocator.keep_large_blocks()


def test_the_commands_keep_blocks_where_the_cpu_predicts(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bool] = []
    monkeypatch.setattr(allocator, "keep_large_blocks", lambda: asked.append(True))
    segmenter = tiny_segmenter()
    keep_blocks_for(segmenter)
    assert asked == [True]
    segmenter.network.to("meta")  # stands for any other device
    keep_blocks_for(segmenter)
    assert asked == [True]


@pytest.mark.parametrize(("accelerator", "gpus"), [("cpu", True), ("auto", False), ("auto", True)])
def test_a_training_keeps_blocks_where_the_cpu_computes(
    accelerator: str, gpus: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bool] = []
    monkeypatch.setattr(machine, "keep_large_blocks", lambda: asked.append(True))
    monkeypatch.setattr(machine.torch.cuda, "is_available", lambda: gpus)
    machine.keep_memory(Config(accelerator=accelerator))
    assert asked == ([] if accelerator == "auto" and gpus else [True])
