"""One step of a training: finite or refused, seeded by its number, each group at its own pace."""

from pathlib import Path

import pytest
import torch
from dataset_trees import plain_folder
from tiny_segmenter import tiny_segmenter
from tiny_training import train
from torch import nn

from effunet.errors import DivergedError
from effunet.labels import IGNORE
from effunet.training import run
from effunet.training.losses import build_loss
from effunet.training.module import MeanSince, Training
from effunet.training.optim import warmup_poly
from effunet.training.schema import Optim


def training(loss: nn.Module | None = None, **recipe: float) -> Training:
    network = tiny_segmenter().network.train()
    loss = loss or build_loss("cross_entropy_dice", 3)
    return Training(network, loss, Optim(**recipe), total_steps=10, seed=7)


def batch(seed: int = 0) -> dict[str, torch.Tensor]:
    draw = torch.Generator().manual_seed(seed)
    return {
        "image": torch.randint(256, (2, 3, 64, 64), generator=draw, dtype=torch.uint8),
        "mask": torch.randint(3, (2, 64, 64), generator=draw, dtype=torch.uint8),
        "index": torch.tensor([4, 11]),
    }


class Wrong(nn.Module):
    """Right for some steps, and then no number."""

    def __init__(self, loss: nn.Module, steps: int, value: float) -> None:
        super().__init__()
        self.loss, self.steps, self.value = loss, steps, value

    def forward(self, logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        loss = self.loss(logits, target)
        if self.training:
            self.steps -= 1
        return loss * self.value if self.steps < 0 else loss


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_no_number_names_the_step_and_the_images(value: float):
    loss = Wrong(build_loss("dice", 3), steps=1, value=value)
    module = training(loss, lr=0.5)
    module.training_step(batch(), 0)
    with pytest.raises(DivergedError, match=rf"step 0: .*{value}.* images 4, 11: .*now 0\.5"):
        module.training_step(batch(), 1)


def test_a_training_that_diverges_ends_with_6_and_keeps_its_last_good_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(tmp_path)
    plain_folder(tmp_path / "data")
    original = run.loss_of
    monkeypatch.setattr(run, "loss_of", lambda *a: Wrong(original(*a), steps=3, value=torch.nan))
    assert train("data", "name=wrong") == 6
    err = capsys.readouterr().err
    assert err.startswith("effunet: step 3: the loss is nan on training images ")
    assert err.count("\n") == 1
    checkpoint = torch.load(tmp_path / "runs/wrong/checkpoints/last.ckpt", weights_only=True)
    assert checkpoint["global_step"] == 2
    assert all(weight.isfinite().all() for weight in checkpoint["state_dict"].values())


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
            module.seed = seed
            monkeypatch.setattr(Training, "global_step", step)
            values: list[float] = []
            for past in (0, 1):  # whatever was drawn before
                torch.manual_seed(past)
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
            assert group["lr"] == pytest.approx(peak * warmup_poly(step, 10, 2, 0.9), rel=1e-12)
        optimizer.step()
        law.step()
    assert parts["lr_scheduler"]["interval"] == "step"


def test_the_validation_starts_counting_from_nothing():
    module = training()
    module.network.eval()
    counts: list[torch.Tensor] = []
    losses: list[float] = []
    for _ in range(2):
        module.on_validation_epoch_start()
        module.validation_step(batch(), 0)
        module.validation_step(batch(1), 1)
        counts.append(module.confusion.compute())
        losses.append(module.val_loss.mean())
    assert torch.equal(*counts) and counts[0].sum() == 4 * 64 * 64
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
