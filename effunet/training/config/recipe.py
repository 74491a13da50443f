"""The keys of a recipe: what is minimised, and how."""

from __future__ import annotations

from dataclasses import dataclass

from effunet.training.config.key import key


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
    terms: list[str] = key(
        [],
        "losses added up by `loss=sum`, each NAME or NAME:WEIGHT:"
        " `loss.terms=[cross_entropy,lovasz:0.5]`",
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
