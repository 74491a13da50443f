"""`effunet import smp`: a whole Unet of segmentation_models_pytorch becomes a segmenter file."""

from argparse import Namespace
from pathlib import Path

from effunet import artifact
from effunet.commands.outputs import prepare_folder
from effunet.commands.terminal import console, count, shown
from effunet.errors import ModelError, ResourceError, UsageError


def run(arguments: Namespace) -> int:
    """Read checkpoint and classes, write the segmenter, say what it is and what was taken."""
    from effunet.data.describe.read import read_description

    out = _place(arguments)
    labels = read_description(arguments.classes).labels

    from effunet.model.imported import network_of
    from effunet.model.pretrained.files import read
    from effunet.segmenter import Segmenter

    checkpoint: Path = arguments.checkpoint
    mean, std = (tuple(value) if value else None for value in (arguments.mean, arguments.std))
    contents = read(checkpoint, str(checkpoint))
    network, told = network_of(contents, numerics=arguments.numerics, mean=mean, std=std)
    plan = network.plan
    if len(labels) != plan.classes:
        raise ModelError(
            f"{checkpoint} has {plan.classes} classes{' or one logit' * (plan.classes == 2)}, and "
            f"{arguments.classes} names {len(labels)}: name {plan.classes}, in the network's order"
        )
    prepare_folder(out.parent)
    Segmenter(network, labels).save(out)

    parameters = sum(weight.numel() for weight in network.parameters())
    numerics, path = plan.numerics, shown(out)
    untold = " and ".join(name for name in ("mean", "std") if not getattr(arguments, name))
    note = f" ({untold} by default: smp leaves them to its user's code)" if untold else ""
    say = console().print
    say(f"network   {plan.title}, {plan.classes} classes, {count(parameters)} parameters")
    say(f"encoder   {told}: padding {numerics.padding}, eps {numerics.eps:g}")
    say(
        f"images    {plan.channels} channels, mean {_numbers(numerics.mean)}, "
        f"std {_numbers(numerics.std)} of values in 0..1{note}"
    )
    say("proved    the logits are those of smp's own network")
    say(f"wrote     {path}\n\nnext:")
    say(f"  effunet predict {path} IMAGE_OR_DIR --out out")
    return 0


def _place(arguments: Namespace) -> Path:
    """The file to write: never an input, and of a name under which it can be read again."""
    out: Path = arguments.out
    try:
        if out.is_dir():
            out = out / artifact.FILE_NAME
    except OSError as fault:  # a name that no file can have
        raise ResourceError(f"--out {out} cannot be written ({fault.strerror})") from fault
    if out.suffix.lower() in artifact.PICKLES:
        raise UsageError(
            f"--out {out}: {out.suffix} files are pickles, which effunet does not read: "
            f"name it {out.with_suffix('.safetensors').name}"
        )
    for given in (arguments.checkpoint, arguments.classes):
        if out.resolve() == given.resolve():
            raise UsageError(f"--out {out} would replace what is read: name another file")
    return out


def _numbers(values: tuple[float, ...]) -> str:
    return " ".join(f"{value:g}" for value in values)
