"""The keys of the data: where images come from, and what happens to a training sample."""

from __future__ import annotations

from dataclasses import dataclass

from effunet.training.config.key import key


@dataclass
class Data:
    """Where the images come from, and how much of one a training step sees."""

    name: str = key(
        "synthetic", "a folder name under data/, or `folder` for a directory of your own"
    )
    root: str | None = key(
        None, "where the images and masks lie; empty: the dataset's own variable, or data/NAME"
    )
    variant: str | None = key(
        None, "another reading of the dataset, by a name under `variants` in its dataset.yaml"
    )
    fold: int | None = key(
        None, "fold to validate on, where dataset.yaml has folds; empty: as it says", low=0
    )
    parts: list[str] = key(
        [], "of dataset=mixture: the datasets that are mixed, each NAME or NAME:VARIANT"
    )
    part_shares: list[float] = key(
        [],
        "of dataset=mixture: how many of the samples come from each part, against the others;"
        " empty: as each has images",
        above=0.0,
    )
    classes_of: str | None = key(
        None,
        "of dataset=mixture: the dataset whose classes all parts are mapped onto, by the `maps` of"
        " their dataset.yaml; empty: the first part",
    )
    train_split: str = key("train", "split to train on")
    train_share: float = key(
        1.0,
        "share of the training split's images that are learnt from, evenly spread over it: 0.1 is"
        " every tenth, whatever the seed",
        above=0.0,
        high=1.0,
    )
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
    strict: bool = key(
        False,
        "warnings of the check end the run, too: an image that stands in both splits, a class that"
        " never occurs, images smaller than the crop",
    )
    on_error: str = key(
        "raise",
        "an image that cannot be read in mid-training: `raise` ends the run, `skip` steps over up"
        " to 1 % of a split (at least one image) and says so",
        choices=("raise", "skip"),
    )
    cache: str | None = key(
        None,
        "a folder on a local disk, outside the data, where decoded images are kept from the first"
        " epoch on, uncompressed (docs/loading.md); empty: every image is decoded whenever it is"
        " needed",
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
