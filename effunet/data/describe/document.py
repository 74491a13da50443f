"""The descriptions in, docs/datasets.md out: one row for every dataset and each of its variants."""

from collections.abc import Iterator

from effunet.data.describe.description import Description, Generated
from effunet.data.describe.read import read_description
from effunet.data.describe.shelf import description_file, known_names

_INTRO = """\
# Datasets

Made from `data/*/dataset.yaml` by `python -m effunet.data.describe`.

Each dataset is read as its authors unpack it: no file is converted, moved or written. Say where it
lies with `dataset.root=DIR`, or once with the variable of its row; `data/NAME/` is looked through
otherwise. `NAME:VARIANT` is another reading of the same files; in a training it is
`dataset=NAME dataset.variant=VARIANT`. The first lines of a dataset.yaml say which folder the root
is, and what its authors leave open.

Classes count what is scored; everything that the authors do not score is ignored. A size is
height x width in pixels. Numbers of images and licences are as published: read the licence itself
before you use a dataset, most forbid commercial use.
"""

_COLUMNS = ("name", "what", "classes", "images", "size", "variable", "licence", "source", "train")


def document() -> str:
    """docs/datasets.md: the table of every dataset that has a name."""
    lines = [_INTRO, _row(_COLUMNS), _row(["---"] * len(_COLUMNS))]
    return "\n".join([*lines, *(_row(cells) for cells in _rows())]) + "\n"


def _rows() -> Iterator[list[str]]:
    for name in known_names():
        file = description_file(name)
        if file is None:
            continue
        first = read_description(file)
        yield [f"`{name}`", *_facts(first), first.licence, first.source, _command(first)]
        for variant in first.variants:
            other = read_description(file, variant)
            # What a variant shares with its dataset is told once.
            licence = "" if other.licence == first.licence else other.licence
            source = "" if other.source == first.source else other.source
            command = _command(first, f"dataset.variant={variant} ")
            yield [f"`{name}:{variant}`", *_facts(other), licence, source, command]


def _facts(described: Description) -> list[str]:
    origin, size = described.origin, described.facts.size
    images = described.facts.images
    variable = ""
    if isinstance(origin, Generated):
        images = {split: drawn.images for split, drawn in origin.splits.items()}
        size = origin.size
    elif origin.root_env:
        variable = f"`${origin.root_env}`"
    return [
        described.title,
        str(len(described.labels)),
        ", ".join(f"{count} {split}" for split, count in images.items()),
        f"{size[0]} x {size[1]}" if size else "varies",
        variable,
    ]


def _command(described: Description, variant: str = "") -> str:
    root = "" if isinstance(described.origin, Generated) else " dataset.root=DIR"
    return f"`python train.py dataset={described.name} {variant}".rstrip() + f"{root}`"


def _row(cells: list[str] | tuple[str, ...]) -> str:
    return "| " + " | ".join(cell.replace("|", "or") for cell in cells) + " |"
