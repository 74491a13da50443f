"""`effunet scale chart`: the first figure of the article, from its published numbers."""

from argparse import Namespace

from effunet import artifact
from effunet.commands.outputs import prepare_file
from effunet.commands.terminal import console, shown


def run(arguments: Namespace) -> int:
    """Draw it, and say what it shows."""
    prepare_file(arguments.out)
    from effunet.pictures.against import Panel, Point, chart
    from effunet.scaling.published import GPIPE, IMAGENET

    variants = [
        Point(name.upper(), row.parameters / 1e6, row.top1) for name, row in IMAGENET.items()
    ]
    gpipe = Point("GPipe", GPIPE.parameters / 1e6, GPIPE.top1)
    panel = Panel("M parameters", variants, variants, [gpipe])
    note = "Tan and Le 2019, arXiv 1905.11946v5, Table 2; one crop, one model"
    artifact.write(arguments.out, chart([panel], "ImageNet top-1, %", note))
    b7 = IMAGENET["b7"]
    console().print(
        f"B7 has {b7.top1} % with {b7.parameters / 1e6:.0f} M parameters, GPipe {GPIPE.top1} % "
        f"with {GPIPE.parameters / 1e6:.0f} M: {GPIPE.parameters / b7.parameters:.1f} times as many"
    )
    console().print(f"wrote {shown(arguments.out)}")
    return 0
