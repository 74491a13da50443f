"""The schema of a training: every key that a user may set, its type, its meaning and its limits.

Facts alone: config.py reads values into it, checks them, and makes docs/config.md from it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


def key(
    default: Any,
    meaning: str,
    *,
    low: float | None = None,
    high: float | None = None,
    above: float | None = None,
    choices: tuple[str, ...] | None = None,
) -> Any:
    """Return a field with its meaning and limits: low <= value <= high, value > above, or a choice.

    Limits bind each number of a list. None always passes where the type allows it.
    """
    limits = {"low": low, "high": high, "above": above, "choices": choices}
    limits = {name: limit for name, limit in limits.items() if limit is not None}
    metadata = {"meaning": meaning, "limits": limits}
    if isinstance(default, list):
        return field(default_factory=lambda: list(default), metadata=metadata)
    return field(default=default, metadata=metadata)


@dataclass
class Encoder:
    """An EfficientNet: a published variant, or the compound law at any phi."""

    name: str = key(
        "b0",
        "published variant, or `phi` for the compound scaling law",
        choices=("b0", "b1", "b2", "b3", "b4", "b5", "b6", "b7", "phi"),
    )
    phi: float | None = key(
        None, "compound coefficient, with `encoder=phi` only", low=-4.0, high=12.0
    )
    weights: str = key(
        "none",
        "`none`, or a .safetensors file of ImageNet weights in timm's `tf_efficientnet` naming",
    )
    drop_path: float = key(
        0.2,
        "stochastic depth: chance to skip the last block, growing linearly from 0 with depth",
        low=0.0,
        high=0.9,
    )
    skip: str = key("stem", "where the reduction-2 feature is taken", choices=("stem", "stage1"))
    checkpointing: bool = key(
        False, "recompute each block's activations in the backward pass: less memory, more time"
    )


@dataclass
class Decoder:
    """The U-Net decoder that climbs from reduction 32 to full size."""

    name: str = key("unet", "decoder", choices=("unet",))
    widths: list[int] = key(
        [256, 128, 64, 32, 16], "channels of the five steps, coarsest first", low=1, high=4096
    )


@dataclass
class Data:
    """Where the images come from, and how much of one a training step sees."""

    name: str = key(
        "synthetic", "a folder name under data/, or `folder` for a directory of your own"
    )
    root: str | None = key(
        None, "where the images and masks lie; empty: the dataset's own variable, or data/NAME"
    )
    train_split: str = key("train", "split to train on")
    val_split: str = key("val", "split to validate on")
    crop: list[int] = key(
        [256, 256], "height and width of a training crop, pixels", low=32, high=16384
    )
    check: str = key(
        "auto",
        "faults looked for before the first step: `auto` opens every pair of a small dataset and"
        " a seeded sample of a large one, `all` opens every pair, `none` trusts you",
        choices=("auto", "all", "none"),
    )
    on_error: str = key(
        "raise",
        "an image that cannot be read in mid-training: `raise` ends the run, `skip` steps over up"
        " to 1 % of a split (at least one image) and says so",
        choices=("raise", "skip"),
    )


@dataclass
class Augment:
    """What happens to a training sample; docs/augmentation.md lists every transform."""

    preset: str = key("street", "set of transforms", choices=("none", "light", "street", "strong"))
    scale: list[float] | None = key(
        None,
        "range of random scaling before the crop, [low, high]; empty: the preset's own",
        low=0.1,
        high=8.0,
    )


@dataclass
class Loss:
    """What is minimised; pixels with ignore_index never count."""

    name: str = key(
        "cross_entropy_dice",
        "`cross_entropy_dice` is the weighted sum of the other two",
        choices=("cross_entropy", "dice", "cross_entropy_dice"),
    )
    dice: float = key(
        0.5,
        "share of the Dice term in cross_entropy_dice, the rest is cross-entropy",
        above=0.0,
        high=0.99,
    )
    label_smoothing: float = key(
        0.0, "share of the target spread evenly over all classes", low=0.0, high=0.99
    )
    class_weights: list[float] | None = key(
        None, "one weight per class for cross-entropy; empty: all one", above=0.0
    )


@dataclass
class Optim:
    """AdamW, a linear warm-up, then polynomial decay to zero."""

    lr: float = key(1e-3, "peak learning rate of decoder and head", above=0.0, high=10.0)
    encoder_lr_factor: float = key(
        1.0,
        "the encoder learns at lr times this; 0.1 to 0.3 is usual with weights",
        above=0.0,
        high=10.0,
    )
    weight_decay: float = key(
        0.01, "AdamW's decay; norms and biases are never decayed", low=0.0, high=1.0
    )
    warmup: float = key(
        0.05, "share of all steps in which the learning rate climbs from 0", low=0.0, high=0.9
    )
    power: float = key(0.9, "exponent of the polynomial decay", above=0.0, high=10.0)
    clip: float | None = key(
        None, "largest norm of the gradient, rescaled beyond; empty: none", above=0.0
    )


@dataclass
class Config:
    """A whole training as a value."""

    encoder: Encoder = field(default_factory=Encoder)
    decoder: Decoder = field(default_factory=Decoder)
    dataset: Data = field(default_factory=Data)
    augment: Augment = field(default_factory=Augment)
    loss: Loss = field(default_factory=Loss)
    optim: Optim = field(default_factory=Optim)
    max_epochs: int = key(50, "passes over the training split; max_steps wins over it", low=1)
    max_steps: int | None = key(None, "length in optimizer steps; empty: max_epochs", low=1)
    val_every: int = key(1, "epochs between two validations", low=1)
    batch_size: int = key(8, "training images a step, on each device", low=1, high=65536)
    precision: str = key(
        "auto",
        "`auto` is bf16 on a GPU that has it and float32 elsewhere",
        choices=("auto", "32", "bf16", "fp16"),
    )
    accelerator: str = key("auto", "what to compute on", choices=("auto", "cpu", "gpu"))
    devices: int | None = key(
        None, "how many devices; empty: one on a CPU, all GPUs otherwise", low=1
    )
    channels_last: bool = key(
        True, "memory layout: the channels of a pixel lie together; the faster one where measured"
    )
    num_workers: int | None = key(
        None,
        "processes that read data; empty: none on up to two cores, else up to 8",
        low=0,
        high=512,
    )
    seed: int = key(0, "decides every random draw", low=0, high=2**32 - 1)
    monitor: str = key(
        "miou",
        "validation score that picks the segmenter kept",
        choices=("miou", "pixel_accuracy", "mean_accuracy", "val_loss"),
    )
    loggers: list[str] = key(
        [],
        "where to log beside metrics.csv; each needs its package, `effunet[tensorboard]` and so on",
        choices=("tensorboard", "wandb", "mlflow"),
    )
    debug: str | None = key(
        None,
        "`overfit` learns up to 8 images by heart, which proves labels, loss and network; `fast` is"
        " 2 steps and a validation of 2 images; empty: a real training",
        choices=("overfit", "fast"),
    )
    name: str | None = key(None, "folder under runs/; empty: dataset-encoder-number")
    resume: str | None = key(
        None, "run folder to continue, with its own config; goes with num_workers alone"
    )
