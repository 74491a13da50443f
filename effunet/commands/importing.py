"""`effunet import smp`: a whole Unet of segmentation_models_pytorch becomes a segmenter file."""

from argparse import Namespace
from pathlib import Path

from effunet import artifact
from effunet.commands.terminal import console, shown
from effunet.errors import ModelError


def run(arguments: Namespace) -> int:
    """Read checkpoint and classes, write the segmenter, say what it is and what was taken."""
    from effunet.data.description import read_description

    described = read_description(arguments.classes)

    from effunet.model.imported import network_of
    from effunet.model.pretrained.files import read
    from effunet.segmenter import Segmenter

    checkpoint: Path = arguments.checkpoint
    mean, std = (tuple(value) if value else None for value in (arguments.mean, arguments.std))
    contents = read(checkpoint, str(checkpoint))
    network, told = network_of(contents, numerics=arguments.numerics, mean=mean, std=std)
    plan, labels = network.plan, described.labels
    if len(labels) != plan.classes:
        raise ModelError(
            f"{checkpoint} has {plan.classes} classes, and {arguments.classes} names "
            f"{len(labels)}: name them in the order of the network's"
        )
    out: Path = arguments.out
    if out.is_dir():
        out = out / artifact.FILE_NAME
    out.parent.mkdir(parents=True, exist_ok=True)
    Segmenter(network, labels).save(out)
    numerics = plan.numerics
    console().print(
        f"network   {plan.title}, {plan.classes} classes, images of {plan.channels} channels\n"
        f"encoder   {told}: padding {numerics.padding}, eps {numerics.eps:g}\n"
        f"images    mean {_numbers(numerics.mean)}, std {_numbers(numerics.std)} of values in 0..1"
        f"{'' if mean or std else ' (smp leaves them to its user: --mean and --std say others)'}\n"
        f"wrote     {shown(str(out))}\n\n"
        f"next:\n  effunet predict {shown(str(out))} IMAGE_OR_FOLDER --out out --overlay",
        soft_wrap=True,
        highlight=False,
    )
    return 0


def _numbers(values: tuple[float, ...]) -> str:
    return " ".join(f"{value:g}" for value in values)
