"""A whole training in a second, through the door that users take: `effunet train`, in-process."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from effunet.cli import main
from effunet.training.output import record
from effunet.training.output.progress import Watch

WORDS = (
    *("encoder=phi", "encoder.phi=-4", "decoder.widths=[16,8,8]", "augment=light"),
    *("dataset=folder", "dataset.crop=[32,32]", "batch_size=2", "num_workers=0"),
)
"""Small, and with drop_path and augmentation, so that a draw out of order would show."""

STEPS = 6
"""Three epochs of the folder's four training images, each followed by a validation."""


def train(data: Path | str, *words: str) -> int:
    """Train on a folder for STEPS steps unless words say otherwise; returns the exit code."""
    return main(["train", *WORDS, f"dataset.root={data}", f"max_steps={STEPS}", *words])


def state(folder: Path, pictures: bool = True) -> dict[str, str]:
    """What a run has learnt and written, as digests: equal means bit for bit the same training."""
    checkpoint = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)
    weights = hashlib.sha256()
    average = checkpoint["effunet"]["ema"] or {}
    for name, weight in [*sorted(checkpoint["state_dict"].items()), *sorted(average.items())]:
        weights.update(name.encode() + weight.contiguous().numpy().tobytes())
    files = ["segmenter.safetensors", "metrics.csv", "metrics.json"]
    files += ["predictions.png"] * pictures
    digests = {file: hashlib.sha256((folder / file).read_bytes()).hexdigest() for file in files}
    return {**digests, "last weights": weights.hexdigest(), "step": str(checkpoint["global_step"])}


def draw_no_curves(monkeypatch: pytest.MonkeyPatch) -> None:
    """Write curves.png without drawing, which takes half the time of so short a training."""
    monkeypatch.setattr(record, "curves", lambda rows, file: file.write_bytes(b"curves"))


class Stop(Exception):
    """Ends a training from inside, as a fault that nobody has foreseen."""


def do_at(monkeypatch: pytest.MonkeyPatch, hook: str, times: int, act: Callable[[], None]) -> None:
    """Act in a method of the watching callback when it is called for the times-th time."""
    calls: list[object] = []
    original = getattr(Watch, hook)

    def both(self: Watch, *arguments: object) -> None:
        original(self, *arguments)
        calls.append(None)
        if len(calls) == times:
            act()

    monkeypatch.setattr(Watch, hook, both)


def stop_at(
    monkeypatch: pytest.MonkeyPatch,
    hook: str,
    times: int,
    error: Callable[[], BaseException] = Stop,
) -> None:
    """Raise there what nobody has foreseen, or another error."""

    def act() -> None:
        raise error()

    do_at(monkeypatch, hook, times, act)
