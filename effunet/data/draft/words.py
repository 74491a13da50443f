"""Names of folders and files -> what people mean by them: a split, images, masks, or neither."""

import re
from dataclasses import dataclass
from typing import Literal

Role = Literal["image", "mask", "other"]

SPLITS = {
    "train": ("train", "training", "trn", "tr"),
    "val": ("val", "valid", "validation", "dev"),
    "test": ("test", "testing", "tst", "ts"),
}
"""How the folders of a split are called; tr and ts are nnU-Net's."""

_ROLES: dict[Role, tuple[str, ...]] = {
    "image": (
        "image", "images", "img", "imgs", "im", "jpegimages", "leftimg8bit", "rgb", "input",
        "inputs", "photo", "photos", "original", "originals", "orig", "sat", "frame", "frames",
        "picture", "pictures",
    ),
    "mask": (
        "mask", "masks", "label", "labels", "lbl", "annotation", "annotations", "ann", "anns",
        "anno", "annot", "annots", "gt", "gts", "gtfine", "gtcoarse", "groundtruth", "seg", "segs",
        "segmentation", "segmentations", "segmentationclass", "segmentationclassaug", "semantic",
        "target", "targets", "trimap", "trimaps", "truth", "labelid", "labelids", "labeltrainid",
        "labeltrainids", "l", "matte", "mattes",
    ),
    "other": (
        "instance", "instances", "instanceid", "instanceids", "inst", "color", "colors", "colour",
        "depth", "disparity", "edge", "edges", "panoptic", "overlay", "overlays", "preview",
        "previews", "polygons", "segmentationobject", "vis", "pred", "preds", "prediction",
        "predictions", "weight", "weights",
    ),
}  # fmt: skip

_ROLE_OF: dict[str, Role] = {word: role for role, words in _ROLES.items() for word in words}
_SPLIT_OF = {word: split for split, words in SPLITS.items() for word in words}
_GLUED = "|".join(sorted((w for w in _SPLIT_OF if len(w) > 2), key=len, reverse=True))


@dataclass(frozen=True)
class Folder:
    """One component of a path: its text with the split's word as {split}, and what it tells."""

    template: str
    word: str = ""  # what stands for the split here
    split: str = ""  # train, val or test
    role: Role | None = None


def read_folder(name: str) -> Folder:
    """What a folder's name says: train, masks_val, trainannot, imagesTr, val2017."""
    pieces = re.split(r"([_\-. ]+)", name)
    for place, piece in enumerate(pieces):
        if split := _SPLIT_OF.get(piece.lower()) if len(piece) > 2 else None:
            rest = [*pieces[:place], *pieces[place + 1 :]]
            template = "".join([*pieces[:place], "{split}", *pieces[place + 1 :]])
            return Folder(template, piece, split, _role(rest))
    glued = re.fullmatch(rf"({_GLUED})(\d{{4}}|[a-z]+)", name, re.IGNORECASE)
    if glued and (glued[2].isdigit() or glued[2].lower() in _ROLE_OF):
        split = _SPLIT_OF[glued[1].lower()]
        return Folder("{split}" + glued[2], glued[1], split, _ROLE_OF.get(glued[2].lower()))
    glued = re.fullmatch(r"([a-z]+)(Tr|Ts|Train|Val|Test)", name)
    if glued and glued[1] in _ROLE_OF:
        return Folder(
            glued[1] + "{split}", glued[2], _SPLIT_OF[glued[2].lower()], _ROLE_OF[glued[1]]
        )
    return Folder(name, role=_role(pieces))


@dataclass(frozen=True)
class FileName:
    """A stem without the word that says what is in the file, which stands before or behind it."""

    prefix: str
    core: str
    suffix: str
    role: Role


def read_stem(stem: str) -> FileName | None:
    """What a file's name says: street_7_mask, label-street_7; None where it says nothing.

    _0000 is the first channel of an image of nnU-Net, whose masks have no such number.
    """
    if stem.endswith("_0000") and len(stem) > 5:
        return FileName("", stem[:-5], stem[-5:], "image")
    pieces = re.split(r"([_\-. ])", stem)
    roles: list[Role | None] = [
        _ROLE_OF.get(piece.lower().rstrip("0123456789")) for piece in pieces
    ]
    last = len(pieces)
    # gtFine_labelIds is two words; the last one decides.
    while last > 1 and roles[last - 1] is not None:
        last -= 2
    if last < len(pieces) and last >= 1:
        cut = len("".join(pieces[:last]))
        role = roles[-1]
        return FileName("", stem[:cut], stem[cut:], role) if role else None
    role = roles[0]
    if role is not None and len(pieces) > 2:
        cut = len(pieces[0] + pieces[1])
        return FileName(stem[:cut], stem[cut:], "", role)
    return None


def _role(pieces: list[str]) -> Role | None:
    """What the words together mean: a word for neither outweighs, then one for masks."""
    found = {_ROLE_OF.get(piece.lower().rstrip("0123456789_")) for piece in pieces}
    order: tuple[Role, ...] = ("other", "mask", "image")
    return next((role for role in order if role in found), None)
