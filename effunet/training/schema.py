"""The schema of a training: every key that a user may set, its type, its meaning and its limits.

Facts alone: config.py reads values into it, checks them, and makes docs/config.md from it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from effunet.model.architectures import ARCHITECTURES


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

    Limits bind each number of a list or a dict. None always passes where the type allows it.
    """
    limits = {"low": low, "high": high, "above": above, "choices": choices}
    limits = {name: limit for name, limit in limits.items() if limit is not None}
    metadata = {"meaning": meaning, "limits": limits}
    if isinstance(default, list):
        return field(default_factory=lambda: list(default), metadata=metadata)
    return field(default=default, metadata=metadata)


@dataclass
class Network:
    """Our own network of encoder and decoder, or one of segmentation_models_pytorch (smp)."""

    name: str = key(
        "effunet",
        "`effunet` joins the groups encoder and decoder, `smp` the encoder and a decoder of smp",
        choices=("effunet", "smp"),
    )
    architecture: str | None = key(
        None, "with `network=smp`: the class of smp", choices=tuple(ARCHITECTURES)
    )
    encoder: str | None = key(
        None,
        "with `network=smp`: smp's name of another encoder, such as `resnet34`, instead of the"
        " group encoder, fresh and without drop_path; empty: timm's twin of encoder=b0 to b7",
    )
    reset_head: bool = key(
        False, "with init_from: a fresh head, for classes that the segmenter does not have"
    )


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
    freeze: float = key(
        0.0,
        "share of all steps, from the first on, in which the encoder stays as it came: weights,"
        " statistics, no drop_path; 1 is always",
        low=0.0,
        high=1.0,
    )
    freeze_norms: float = key(
        0.0,
        "share of all steps, from the first on, in which the encoder's batch norms stay as they"
        " came (statistics, scale and shift); 1 is always, and usual for tiny batches",
        low=0.0,
        high=1.0,
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
    """What is minimised; pixels with ignore_index never count.

    A key that the chosen loss has no use for is refused.
    """

    name: str = key(
        "cross_entropy_dice",
        "`cross_entropy_dice` is the weighted sum of the two that it names; `focal` fades easy"
        " pixels (Lin et al. 2017), `ohem` takes the hardest ones alone (Shrivastava et al. 2016),"
        " `lovasz` descends on the mean IoU itself (Berman et al. 2018), `tversky` tells false"
        " positives from false negatives (Salehi et al. 2017), `boundary` weighs the edges of the"
        " truth (Ronneberger et al. 2015), `sum` adds up loss.terms",
        choices=(
            *("cross_entropy", "dice", "cross_entropy_dice", "focal", "ohem"),
            *("lovasz", "tversky", "boundary", "sum"),
        ),
    )
    terms: dict[str, float] | None = key(
        None,
        "losses by name with their weights, added up by `loss=sum`:"
        " `'loss.terms={cross_entropy:1,lovasz:0.5}'`",
        above=0.0,
        high=1e6,
    )
    dice: float = key(
        0.5,
        "share of the Dice term in cross_entropy_dice, the rest is cross-entropy",
        above=0.0,
        high=0.99,
    )
    label_smoothing: float = key(
        0.0,
        "share of the target spread evenly over all classes, for cross-entropy, ohem and boundary",
        low=0.0,
        high=0.99,
    )
    class_weights: list[float] | None = key(
        None,
        "one weight per class for cross-entropy, focal, ohem and boundary; empty: all one",
        above=0.0,
        high=1e6,
    )
    weighting: str = key(
        "none",
        "class weights from the masks of the training split, of mean 1 over the classes that"
        " occur: `enet` 1/ln(1.02 + share) (Paszke et al. 2016), `median_frequency` (Eigen and"
        " Fergus 2015), `inverse_sqrt` of the share, `effective_number` of regions of 32 x 32"
        " pixels (Cui et al. 2019)",
        choices=("none", "enet", "median_frequency", "inverse_sqrt", "effective_number"),
    )
    effective_beta: float = key(
        0.9999,
        "beta of effective_number: from 1/(1 - beta) regions on, more of a class adds little",
        low=0.0,
        high=0.9999999,
    )
    focal_gamma: float = key(
        2.0, "how fast focal fades a pixel as it grows easy; 0: cross-entropy", low=0.0, high=10.0
    )
    ohem_threshold: float = key(
        0.7, "ohem: a pixel counts below this probability of its true class", above=0.0, high=1.0
    )
    ohem_keep: float = key(
        0.0625, "ohem: least share of the pixels that count, the hardest", above=0.0, high=1.0
    )
    tversky_alpha: float = key(0.3, "weight of false positives in tversky", above=0.0, high=100.0)
    tversky_beta: float = key(0.7, "weight of false negatives in tversky", above=0.0, high=100.0)
    boundary_width: int = key(
        2, "boundary: pixels to each side of a change of class that weigh more", low=1, high=64
    )
    boundary_weight: float = key(
        5.0, "boundary: how many times more; 1: cross-entropy", low=1.0, high=1000.0
    )


@dataclass
class Optim:
    """The optimizer, and the learning rate as a law of the step: a warm-up, then a decay."""

    name: str = key("adamw", "AdamW, or SGD with Nesterov momentum", choices=("adamw", "sgd"))
    lr: float = key(1e-3, "peak learning rate of decoder and head", above=0.0, high=10.0)
    encoder_lr_factor: float = key(
        1.0,
        "the encoder learns at lr times this; 0.1 to 0.3 is usual with weights",
        above=0.0,
        high=10.0,
    )
    weight_decay: float = key(
        0.01,
        "decay of the weights (with sgd as an L2 penalty, where 1e-4 is usual); norms and biases"
        " are never decayed",
        low=0.0,
        high=1.0,
    )
    momentum: float = key(0.9, "of sgd", low=0.0, high=0.999)
    schedule: str = key(
        "poly",
        "decay of the learning rate after the warm-up: `poly` (1 - progress)^power, `cosine` half"
        " a cosine, both to 0; `one_cycle` climbs by a cosine from lr / 25 over the warm-up, for"
        " which 0.3 is usual, and falls by one to lr / 250000; `constant`",
        choices=("poly", "cosine", "one_cycle", "constant"),
    )
    warmup: float = key(
        0.05, "share of all steps in which the learning rate climbs", low=0.0, high=0.9
    )
    power: float = key(0.9, "exponent of the polynomial decay", above=0.0, high=10.0)
    clip: float | None = key(
        None, "largest norm of the gradient, rescaled beyond; empty: none", above=0.0
    )


@dataclass
class Config:
    """A whole training as a value."""

    network: Network = field(default_factory=Network)
    encoder: Encoder = field(default_factory=Encoder)
    decoder: Decoder = field(default_factory=Decoder)
    dataset: Data = field(default_factory=Data)
    augment: Augment = field(default_factory=Augment)
    loss: Loss = field(default_factory=Loss)
    optim: Optim = field(default_factory=Optim)
    max_epochs: int = key(50, "passes over the training split; max_steps wins over it", low=1)
    max_steps: int | None = key(None, "length in optimizer steps; empty: max_epochs", low=1)
    val_every: int = key(1, "epochs between two validations", low=1)
    batch_size: int = key(8, "training images a batch, on each device", low=1, high=65536)
    accumulate: int = key(
        1, "batches whose gradients are averaged into one optimizer step", low=1, high=65536
    )
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
    sync_batchnorm: bool = key(
        False, "several GPUs: batch norms take their statistics over all of them, not of each alone"
    )
    compile: bool = key(
        False,
        "compile the training step with torch.compile: a minute or more before the first step of"
        " each batch shape, faster steps after; the results differ from the uncompiled in rounding",
    )
    num_workers: int | None = key(
        None,
        "processes that read data; empty: none on up to two cores, else up to 8",
        low=0,
        high=512,
    )
    seed: int = key(0, "decides every random draw", low=0, high=2**32 - 1)
    ema: float | None = key(
        None,
        "decay of an exponential moving average of the weights, which is then what is validated and"
        " kept (0.999 is usual; it starts lower and climbs with the steps); empty: none",
        low=0.0,
        high=0.99999,
    )
    patience: int | None = key(
        None,
        "validations without a better monitored score after which the training ends early; empty:"
        " never",
        low=1,
    )
    max_nonfinite: int = key(
        20,
        "steps in a row with a loss or gradient that is no finite number (each is left out and"
        " counted) after which the training stops as diverged",
        low=1,
    )
    save_every: int | None = key(
        None,
        "steps between two checkpoints, beside the one at each validation; empty: none",
        low=1,
    )
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
    name: str | None = key(
        None,
        "folder under runs/; empty: dataset-encoder-number, with `network=smp`"
        " dataset-architecture-encoder-number",
    )
    init_from: str | None = key(
        None,
        "segmenter file or run folder to start from: it brings its network (keys of network and"
        " encoder are left at their defaults or say the same, decoder is left out) and its weights",
    )
    resume: str | None = key(
        None,
        "run folder to continue, with its own config; other keys beside it must say what the run"
        " says, but for num_workers, save_every and loggers",
    )
    resume_force: bool = key(
        False, "let other keys change a run that is resumed; the differences are printed"
    )
