"""The schema of a training: every key that a user may set, its type, its meaning and its limits.

Facts alone: read.py reads values into it, the rules check them, document.py writes docs/config.md.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from effunet.training.config.data import Augment, Data
from effunet.training.config.key import key
from effunet.training.config.network import Decoder, Encoder, Network
from effunet.training.config.recipe import Loss, Optim
from effunet.training.config.sampling import Sampling


@dataclass
class Config:
    """A whole training as a value."""

    network: Network = field(default_factory=Network)
    encoder: Encoder = field(default_factory=Encoder)
    decoder: Decoder = field(default_factory=Decoder)
    dataset: Data = field(default_factory=Data)
    augment: Augment = field(default_factory=Augment)
    sampling: Sampling = field(default_factory=Sampling)
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
        "of the training steps: `auto` is bf16 on a GPU that has it and float32 elsewhere;"
        " validation is in float32, as the segmenter will be used",
        choices=("auto", "32", "bf16", "fp16"),
    )
    accelerator: str = key("auto", "what to compute on", choices=("auto", "cpu", "gpu"))
    devices: int | None = key(
        None, "how many devices; empty: one on a CPU, all GPUs otherwise", low=1
    )
    channels_last: bool = key(
        True,
        "memory layout of the training steps: the channels of a pixel lie together; the faster one"
        " where measured. Validation and the segmenter have images in it always",
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
        choices=(
            "miou",
            "image_miou",
            "frequency_weighted_iou",
            "pixel_accuracy",
            "mean_accuracy",
            "mean_dice",
            "boundary_iou",
            "boundary_f",
            "val_loss",
        ),
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
