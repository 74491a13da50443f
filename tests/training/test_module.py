"""One step of a training: finite or refused, seeded by its number, each group at its own pace."""

from pathlib import Path

import numpy as np
import pytest
import torch
from dataset_trees import plain_folder
from tiny_segmenter import tiny_segmenter
from tiny_training import train
from torch import nn

from effunet.labels import IGNORE
from effunet.metrics.rows import Rows
from effunet.metrics.tally import Tally
from effunet.segmenter import Segmenter
from effunet.training import run
from effunet.training.config.recipe import Optim
from effunet.training.config.schema import Config
from effunet.training.module import MeanSince, Training
from effunet.training.recipe.losses import build_loss
from effunet.training.recipe.schedule import lr_factor


def training(loss: nn.Module | None = None, **recipe: float) -> Training:
    network = tiny_segmenter().network.train()
    loss = loss or build_loss("cross_entropy_dice", 3)
    config = Config(optim=Optim(**recipe), seed=7)
    return Training(network, loss, config, total_steps=10, tally=lambda: Tally(Rows(3), 20))


def batch(seed: int = 0) -> dict[str, torch.Tensor]:
    draw = torch.Generator().manual_seed(seed)
    return {
        "image": torch.randint(256, (2, 3, 64, 64), generator=draw, dtype=torch.uint8),
        "mask": torch.randint(3, (2, 64, 64), generator=draw, dtype=torch.uint8),
        "index": torch.tensor([4, 11]),
    }


class Wrong(nn.Module):
    """Right for some steps, and then no number, for ever or for some times."""

    def __init__(self, loss: nn.Module, steps: int, value: float, times: int = 10**9) -> None:
        super().__init__()
        self.loss, self.steps, self.value, self.times = loss, steps, value, times

    def forward(self, logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        loss = self.loss(logits, target)
        if torch.is_grad_enabled():
            self.steps -= 1
        wrong = -self.times <= self.steps < 0 and torch.is_grad_enabled()
        return loss * self.value if wrong else loss


def test_a_loss_that_is_no_number_for_one_step_is_left_out_and_counted_and_the_run_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(tmp_path)
    plain_folder(tmp_path / "data")
    original = run.loss_of
    wrong = lambda *a: Wrong(original(*a), steps=3, value=torch.nan, times=1)  # noqa: E731
    monkeypatch.setattr(run, "loss_of", wrong)
    assert train("data", "name=once") == 0
    out = capsys.readouterr().out
    assert "notice    1 steps were left out: loss or gradient was not finite" in out
    rows = (tmp_path / "runs/once/metrics.csv").read_text().splitlines()
    names, last = rows[0].split(","), rows[-1].split(",")
    assert dict(zip(names, last, strict=True))["steps_left_out"] == "1"
    assert "nan" not in rows[2]


def test_a_training_that_diverges_ends_with_6_and_its_checkpoint_is_finite(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(tmp_path)
    plain_folder(tmp_path / "data")
    original = run.loss_of
    monkeypatch.setattr(run, "loss_of", lambda *a: Wrong(original(*a), steps=3, value=torch.nan))
    assert train("data", "name=wrong", "max_nonfinite=2") == 6
    err = capsys.readouterr().err
    assert err.startswith("effunet: step 3: the loss is nan on training images ")
    assert "2 steps in a row" in err and err.count("\n") == 1
    checkpoint = torch.load(tmp_path / "runs/wrong/checkpoints/last.ckpt", weights_only=True)
    assert checkpoint["global_step"] == 4
    assert all(weight.isfinite().all() for weight in checkpoint["state_dict"].values())
    assert Segmenter.load(tmp_path / "runs/wrong").metadata["scores"]


@pytest.mark.parametrize("name", ["cross_entropy", "dice", "cross_entropy_dice"])
def test_a_batch_that_is_all_ignore_trains_on(name: str):
    module = training(build_loss(name, 3))
    loss = module.training_step({**batch(), "mask": torch.full((2, 64, 64), IGNORE)}, 0)
    loss.backward()
    gradients = [p.grad for p in module.parameters() if p.grad is not None]
    assert loss.item() == 0 and gradients
    assert all((gradient == 0).all() for gradient in gradients)


def test_what_is_drawn_in_a_step_follows_from_seed_and_step_alone(
    monkeypatch: pytest.MonkeyPatch,
):
    drawn: dict[tuple[int, int], float] = {}
    for seed in (7, 8):
        for step in (3, 4):
            module = training()
            module.config.seed = seed
            monkeypatch.setattr(Training, "global_step", step)
            values: list[float] = []
            for past in (0, 1):  # whatever was drawn before
                torch.manual_seed(past)
                module._batch = 0
                module.on_train_batch_start(batch(), 0)
                values.append(torch.rand(1).item())
            assert values[0] == values[1]
            drawn[seed, step] = values[0]
    assert len(set(drawn.values())) == 4


def test_the_encoder_learns_at_its_own_factor_and_all_by_the_law():
    module = training(lr=0.01, encoder_lr_factor=0.25, warmup=0.2, power=0.9)
    parts = module.configure_optimizers()
    optimizer, law = parts["optimizer"], parts["lr_scheduler"]["scheduler"]
    encoder = {id(parameter) for parameter in module.network.encoder.parameters()}
    for step in range(10):
        for group in optimizer.param_groups:
            inside = {id(parameter) in encoder for parameter in group["params"]}
            assert len(inside) == 1
            peak = 0.01 * (0.25 if inside.pop() else 1)
            assert group["lr"] == pytest.approx(peak * lr_factor(step, 10, 2), rel=1e-12)
        optimizer.step()
        law.step()
    assert parts["lr_scheduler"]["interval"] == "step"


def test_the_validation_starts_counting_from_nothing():
    module = training()
    module.network.eval()
    counts: list[np.ndarray] = []
    losses: list[float] = []
    for _ in range(2):
        module.on_validation_epoch_start()
        module.validation_step(batch(), 0)
        module.validation_step(batch(1) | {"index": torch.tensor([5, 12])}, 1)
        counts.append(module.tally.counts().table)
        losses.append(module.val_loss.mean())
    assert np.array_equal(*counts) and counts[0].shape == (4, Rows(3).length)
    assert losses[0] == losses[1]


def test_a_mean_since_is_the_weighted_mean_and_forgets_on_reset():
    mean = MeanSince()
    assert mean.mean() != mean.mean()  # nan: nothing was said yet
    for value, weight in ((1.0, 1), (4.0, 2)):
        mean.add(torch.tensor(value), weight)
    assert mean.mean() == 3.0
    mean.reset()
    mean.add(torch.tensor(0.5), 3)
    assert mean.mean() == 0.5
    # In float32 the millionth step would change nothing any more.
    mean.reset()
    mean.add(torch.tensor(2.0**24), 1)
    mean.add(torch.tensor(1.0), 1)
    assert mean.mean() == (2**24 + 1) / 2
