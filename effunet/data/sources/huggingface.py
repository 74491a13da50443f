"""TableDataset: one split of a dataset of Hugging Face's library `datasets`, read row by row.

The dataset is a folder that save_to_disk wrote, or a name on the hub, which the library downloads
into its own cache and finds there again without a network. Images and masks lie encoded in Arrow
files that are mapped into memory, and are decoded by the same rules as files: a palette stays
indices, 16 bit stay 16 bit. The package is optional: pip install "effunet[huggingface]".
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from effunet.data.dataset import Dataset, Sample
from effunet.data.describe.description import Description, Files
from effunet.data.describe.layouts import HubTable
from effunet.data.describe.splits import Folds, Hashed
from effunet.data.files.images import read_image
from effunet.data.files.masks import read_mask
from effunet.data.files.opening import MAX_PIXELS, read_bytes
from effunet.data.sources.folder import size_mismatch
from effunet.data.sources.rows import Rows
from effunet.data.sources.selection import by_rule
from effunet.errors import DataError, UsageError
from effunet.values import UnknownValues

if TYPE_CHECKING:
    import datasets

SAVED = ("dataset_dict.json", "state.json")
"""What save_to_disk leaves in its folder: of several splits, or of one table."""

OTHER_NAMES = {"val": "validation"}
"""What the hub calls a split, where nothing of our name is there."""


class TableDataset(Dataset):
    """Rows with an image and a mask; each is decoded when it is asked for."""

    def __init__(
        self,
        description: Description,
        split: str,
        rows: "datasets.Dataset",
        names: "Names",
        layout: HubTable,
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        """`rows` has the columns of both, flattened to their bytes and paths."""
        super().__init__(
            description.name,
            split,
            description.labels,
            names,
            description.pixels,
            description.notices,
        )
        self.rows, self.layout, self.max_pixels = rows, layout, max_pixels
        self.where = description.where

    def __getitem__(self, index: int) -> Sample:
        row: dict[str, Any] = self.rows[range(len(self))[index]]
        image_at, mask_at = (self._place(index, c) for c in (self.layout.image, self.layout.mask))
        image = read_image(
            image_at, self.pixels, self.max_pixels, _encoded(row, self.layout.image, image_at)
        )
        encoded = _encoded(row, self.layout.mask, mask_at)
        try:
            mask = read_mask(mask_at, self.labels, self.max_pixels, encoded, self.lossy)
        except UnknownValues as fault:
            raise UnknownValues(f"{fault} in {self.where}", fault.counts) from None
        if image.shape[:2] != mask.shape:
            raise DataError(size_mismatch(image_at, image.shape, mask_at, mask.shape))
        return Sample(image, mask, self.ids[index])

    def _place(self, index: int, column: str) -> Path:
        """What messages call the image or mask of a row."""
        return Path(f"{self.name} ({self.layout.source}), row {self.ids[index]}, column {column}")


class Names(Rows[str]):
    """Names in one block of memory, which workers of a loader share."""

    def __init__(self, names: Sequence[str]) -> None:
        import pyarrow

        self._names: pyarrow.StringArray = pyarrow.array(names, pyarrow.large_string())

    def __len__(self) -> int:
        return len(self._names)

    def row(self, place: int) -> str:
        """One name."""
        return self._names[place].as_py()


def open_table(
    description: Description,
    layout: HubTable,
    split: str,
    place: Path,
    max_pixels: int = MAX_PIXELS,
) -> TableDataset:
    """One split of a table. place is the root folder: a saved folder itself, or that of one.

    Raises:
        UsageError: the package is not installed.
        DataError: no such dataset, split or column.
    """
    try:
        import datasets
    except ImportError:
        raise UsageError(
            f"{description.where} reads a dataset of Hugging Face, and the package datasets is not "
            'installed: pip install "effunet[huggingface]"'
        ) from None
    tables = _load(layout, place)
    origin = description.origin
    assert isinstance(origin, Files)
    if isinstance(origin.splits, Hashed | Folds):
        wanted = list(tables)
    elif origin.splits[split].list:
        raise DataError(
            f"{description.where}: splits: {split}: a list of names is for files; name a split of "
            f"{layout.source} ({', '.join(tables)})"
        )
    else:
        folders = origin.splits[split].folders
        wanted = [n if n in tables else OTHER_NAMES.get(n, n) for n in folders]
    for name in wanted:
        if name not in tables:
            raise DataError(
                f"{layout.source} has no split {name!r}: it has {', '.join(tables)}; write "
                f"`splits: {{{split}: NAME}}` in {description.where}"
            )
    parts = [(name, _flat(tables[name], layout, description.where)) for name in wanted]
    rows = datasets.concatenate_datasets([part for _, part in parts])
    names = _names(parts, layout.image)
    if isinstance(origin.splits, Hashed | Folds):
        take = by_rule(origin.splits, split, 0, 0)
        kept = [i for i, name in enumerate(names) if take((name,))]
        rows, names = rows.select(kept), [names[i] for i in kept]
    if not names:
        raise DataError(f"{layout.source} has no rows in split {split}: give one that has images")
    return TableDataset(description, split, rows, Names(names), layout, max_pixels)


def _load(layout: HubTable, place: Path) -> "dict[str, datasets.Dataset]":
    """The tables of every split, of the saved folder or of the hub."""
    import datasets

    folders = [place, place / layout.source, Path(layout.source).expanduser()]
    saved = next((f for f in folders if any((f / name).is_file() for name in SAVED)), None)
    try:
        if saved is not None:
            found = datasets.load_from_disk(str(saved))
        elif folders[1].is_dir() or folders[2].is_dir():
            raise DataError(f"{layout.source} is a folder that save_to_disk did not write")
        else:
            found = datasets.load_dataset(layout.source, revision=layout.revision or None)
    except DataError:
        raise
    except Exception as fault:
        # Whatever the library, the network or Arrow raises: their kinds share no base.
        why = " ".join(str(fault).split())[:300]
        where = str(saved) if saved is not None else f"{layout.source} of Hugging Face"
        raise DataError(
            f"{where} cannot be loaded ({type(fault).__name__}: {why}): check the name, the "
            "revision and the network, or give a folder of save_to_disk (dataset.root=DIR)"
        ) from None
    if isinstance(found, datasets.Dataset):
        return {str(found.split or "train"): found}
    return {str(name): table for name, table in found.items()}


def _flat(table: "datasets.Dataset", layout: HubTable, where: str) -> "datasets.Dataset":
    """The two columns as NAME.bytes and NAME.path, which nobody decodes."""
    import datasets

    for key, column in (("image", layout.image), ("mask", layout.mask)):
        if column not in table.column_names:
            raise DataError(
                f"{layout.source} has no column {column!r}: it has "
                f"{', '.join(table.column_names)}; write `{key}: COLUMN` in {where}"
            )
        kind = table.features[column]
        encoded = isinstance(kind, datasets.Value) and kind.dtype in ("string", "binary")
        if not isinstance(kind, datasets.Image) and not encoded:
            raise DataError(
                f"{layout.source}: the column {column!r} holds no images but {kind}: write "
                f"`{key}: COLUMN` in {where}"
            )
        table = table.cast_column(column, datasets.Image(decode=False))
    return table.select_columns([layout.image, layout.mask]).flatten()


def _names(parts: "list[tuple[str, datasets.Dataset]]", column: str) -> list[str]:
    """The names of the image files where the rows have them and they differ, else numbers."""
    paths: list[str | None] = [path for _, part in parts for path in part[f"{column}.path"]]
    stems = [Path(path).stem for path in paths if path]
    if len(set(stems)) == len(paths):
        return stems
    return [f"{name}-{row:06d}" for name, part in parts for row in range(len(part))]


def _encoded(row: dict[str, Any], column: str, place: Path) -> bytes:
    """The image as it was stored; the contents of its file where only the path was."""
    data, path = row[f"{column}.bytes"], row[f"{column}.path"]
    if data is not None:
        return data
    if not path or not Path(path).is_file():
        raise DataError(
            f"{place} has neither an image nor a file of one ({path!r}): fill the row, or save the "
            "dataset with its images (save_to_disk embeds them)"
        )
    return read_bytes(Path(path))
