"""The keys of sampling: which crops make an epoch, and what is mixed into them."""

from __future__ import annotations

from dataclasses import dataclass

from effunet.training.config.key import key


@dataclass
class Sampling:
    """Which samples make an epoch, and what is mixed into them; docs/sampling.md explains each."""

    classes: str = key(
        "none",
        "what a share of the crops is aimed at: `uniform` each class equally often (Zhu et al."
        " 2019), `rare` the rarer ones more (Hoyer et al. 2022), `none` nothing: every image once"
        " an epoch",
        choices=("none", "uniform", "rare"),
    )
    share: float = key(
        0.5,
        "share of the crops that are aimed at a class, the rest is as ever",
        above=0.0,
        high=1.0,
    )
    temperature: float = key(
        0.01,
        "of classes=rare, which draws a class by exp((1 - its share of the pixels) / temperature):"
        " the smaller, the more the rarest",
        low=0.001,
        high=100.0,
    )
    copy_paste: float = key(
        0.0,
        "chance of a crop to get a piece of a class that is rarer than the mean, cut out of another"
        " image (Ghiasi et al. 2021)",
        low=0.0,
        high=1.0,
    )
    mix: str = key(
        "none",
        "second image in a crop: `cutmix` a box of it (Yun et al. 2019), `classmix` half of its"
        " classes (Olsson et al. 2021)",
        choices=("none", "cutmix", "classmix"),
    )
    mix_chance: float = key(0.5, "chance of a crop to be mixed", above=0.0, high=1.0)


def fault(part: Sampling) -> str | None:
    """Return the key that is set and that the choices have no use for, or None."""
    default = Sampling()
    users = {
        "share": (part.classes != "none", "sampling.classes=uniform or rare"),
        "temperature": (part.classes == "rare", "sampling.classes=rare"),
        "mix_chance": (part.mix != "none", "sampling.mix=cutmix or classmix"),
    }
    for name, (used, user) in users.items():
        if getattr(part, name) != getattr(default, name) and not used:
            return f"sampling.{name} goes with {user} alone: leave one of them out"
    return None
