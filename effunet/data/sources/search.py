"""A description's layouts below a root folder -> the Listing of one split.

Only folders are read, and the lists, manifests and annotations that say what belongs where.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path

from effunet.data.describe.description import Files
from effunet.data.describe.layouts import HubTable, Layout, Manifest, Masks, Shapes
from effunet.data.describe.splits import Folds, Hashed, Part
from effunet.data.sources.listing import (
    Found,
    Listing,
    Truth,
    chosen,
    entries_of,
    name_of,
    paired,
    shorten,
)
from effunet.data.sources.manifest import files_of, list_manifest
from effunet.data.sources.pairs import Pair, Pairs
from effunet.data.sources.patterns import Key, entries, files, matches
from effunet.data.sources.selection import Aliases, by_list, by_rule, read_list
from effunet.errors import DataError


def list_split(place: Path, origin: Files, split: str) -> Listing:
    """The pairs of a split, by the first layout that has one, or else the first with an image.

    Raises:
        DataError: no layout finds an image; names everything that was looked for.
    """
    wanted: list[str] = []
    unpaired: Listing | None = None
    for layout in origin.layouts:
        search = Search(place, origin, split)
        if isinstance(layout, Manifest):
            files = files_of(place, layout, search.part.folders)
            if any(file.is_file() for file in files):
                return search.manifest(layout, origin)
            wanted += map(str, files)
        elif not isinstance(layout, HubTable):
            images = search.found(layout.images, _skipped(layout))
            listing = search.listing(layout, images) if images else None
            if listing is not None and listing.pairs:
                return listing
            unpaired = unpaired or listing
            wanted.append(search.wanted(layout.images))
    if unpaired is not None:
        return unpaired
    raise DataError(f"no images found; looked for {' and '.join(wanted)}{_what_is_there(place)}")


def has_images(place: Path, origin: Files) -> bool:
    """Whether any split has an image there; stops at the first one."""
    return any(
        _exists(Search(place, origin, split), layout)
        for layout in origin.layouts
        for split in origin.names
    )


class Search:
    """Where one split of a dataset is looked for."""

    def __init__(self, place: Path, origin: Files, split: str) -> None:
        self.place, self.split = place, split
        self.rule = origin.splits if isinstance(origin.splits, Hashed | Folds) else None
        parts = {} if isinstance(origin.splits, Hashed | Folds) else origin.splits
        self.part = parts.get(split, Part())
        self.words = {name: part.folders for name, part in parts.items()}
        roots = [place / root for root in origin.roots] or [place]
        several = len(self.part.folders) > 1
        # What tells files of equal names apart comes first in a pair's name.
        self.places = [
            ((root.name,) * bool(origin.roots) + (folder,) * several, root, folder)
            for root in roots
            for folder in self.part.folders
        ]

    @property
    def prefix(self) -> int:
        """How many texts stand in a key before those of the stars."""
        return len(self.places[0][0])

    def found(self, pattern: str, skip: str = "") -> dict[Key, list[Path]]:
        """All files that the pattern matches, in all places, but for names that match skip."""
        found: dict[Key, list[Path]] = {}
        for prefix, root, folder in self.places:
            for key, paths in matches(root, pattern.replace("{split}", folder)).items():
                if kept := [path for path in paths if not fnmatchcase(path.name, skip)]:
                    found[(*prefix, *key)] = kept
        return found

    def file(self, pattern: str) -> Path:
        """The one file that a pattern without stars names."""
        return self.place / pattern.replace("{split}", self.part.folders[0])

    def manifest(self, layout: Manifest, origin: Files) -> Listing:
        """The rows of a manifest that belong to the split."""
        if self.part.list or origin.roots:
            key = "roots" if origin.roots else "a list"
            raise DataError(
                f"{key} under a manifest: it names files and splits by itself: leave {key} out"
            )
        if self.rule is None:
            return list_manifest(self.place, layout, self.split, self.words)
        if self.rule.group:
            raise DataError("splits: group numbers a pattern's stars, and a manifest has none")
        take = by_rule(self.rule, self.split, 0, 0)
        return list_manifest(self.place, layout, self.split, {}, take)

    def wanted(self, pattern: str) -> str:
        """Where a pattern is looked for, for a message."""
        shown = [str(root / pattern.replace("{split}", folder)) for _, root, folder in self.places]
        return " or ".join(shown)

    def listing(self, layout: Masks | Shapes, images: Found) -> Listing:
        """Pair the images with their truth, and take what belongs to the split."""
        take, unfound = self._selection(layout.images, images)
        if isinstance(layout, Shapes) and layout.single:
            listing = self._annotated(layout, images, take)
        else:
            pattern = layout.shapes if isinstance(layout, Shapes) else layout.masks
            masks = self.found(pattern, _skipped(layout))
            # x_mask.png beside x.png: what is named as a mask is no image, though "*" matches it.
            images = chosen(_without(images, masks), take)
            masks = chosen(masks, take)
            wanted = (self.wanted(layout.images), self.wanted(pattern))
            things = layout.instances if isinstance(layout, Masks) else ""
            listing = paired(images, masks, wanted, self.found(things) if things else {})
            if isinstance(layout, Shapes):
                listing = replace(listing, truth=Truth(layout))
            if things:
                listing = replace(listing, instances_wanted=self.wanted(things))
        if self.part.list:
            file = self.file(self.part.list)
            unfound = (*listing.unfound, *unfound)
            listing = replace(
                listing, unfound=unfound, list_file=str(file), files=(*listing.files, file)
            )
        return listing

    def _selection(self, pattern: str, images: Found) -> tuple[Callable[[Key], bool], list[str]]:
        """Whether a key belongs to the split, and the names of a list that have no image."""
        if self.rule is not None:
            return by_rule(self.rule, self.split, self.prefix, _stars(pattern)), []
        if not self.part.list:
            return lambda key: True, []
        keys, unfound = by_list(read_list(self.file(self.part.list)), images, self.place)
        return keys.__contains__, unfound

    def _annotated(self, layout: Shapes, images: Found, take: Callable[[Key], bool]) -> Listing:
        """Pair images with the entries of one annotation file, which says what the split holds."""
        from effunet.data.shapes.formats import FORMATS

        if len(self.places) > 1:
            raise DataError(
                f"several folders or roots under {layout.shapes}, one file for all images: merge "
                "the files, or make a dataset of each"
            )
        file = self.places[0][1] / layout.shapes.replace("{split}", self.part.folders[0])
        annotations = FORMATS[layout.format].read(file)
        aliases = Aliases(images, self.place)
        places: dict[Key, int] = {}
        unfound: list[str] = []
        twins: list[tuple[Path, ...]] = []
        others: defaultdict[int, list[str]] = defaultdict(list)
        for other, place in annotations.aliases.items():
            others[place].append(other)
        for place, name in enumerate(annotations.names):
            found = (aliases.find(text) for text in (name, *others[place]))
            key = next((key for key in found if key is not None), None)
            if key is None:
                unfound.append(name)
            elif key in places:
                twins.append((images[key][0], Path(name)))
            else:
                places[key] = place
        if not places:
            raise DataError(
                f"none of the {len(annotations.names)} images that {file} names is there; looked "
                f"for {self.wanted(layout.images)}"
            )
        # Matched with all images, so that one of another split is not missed here.
        images = chosen(images, take)
        ordered = sorted(key for key in places if take(key))
        # A file of this split alone leaves the images of others unnamed; one of all may not.
        unnamed = () if "{split}" in layout.shapes else sorted(images.keys() - places.keys())
        return Listing(
            Pairs([Pair(name_of(key), images[key][0], file) for key in ordered]),
            images_without_mask=tuple(images[key][0] for key in unnamed),
            twins=tuple(twins),
            unfound=() if self.part.list else tuple(unfound),
            list_file=str(file),
            images_wanted=self.wanted(layout.images),
            masks_wanted=f"its entry in {file}",
            truth=Truth(layout, annotations, entries_of([places[key] for key in ordered])),
            files=(file,),
            notices=tuple(annotations.notices),
        )


def _exists(search: Search, layout: Layout) -> bool:
    if isinstance(layout, HubTable):
        return False
    if isinstance(layout, Manifest):
        files_there = files_of(search.place, layout, search.part.folders)
        return any(file.is_file() for file in files_there)
    patterns = ((r, layout.images.replace("{split}", f)) for _, r, f in search.places)
    return any(next(files(root, pattern), None) is not None for root, pattern in patterns)


def _skipped(layout: Masks | Shapes) -> str:
    return layout.skip if isinstance(layout, Masks) else ""


def _without(images: Found, masks: Found) -> Found:
    """The images whose files are no masks; the same object where that is all of them."""
    both = {file for files in images.values() for file in files}
    both &= {file for files in masks.values() for file in files}
    if not both:
        return images
    kept = {key: [f for f in files if f not in both] for key, files in images.items()}
    return {key: files for key, files in kept.items() if files}


def _stars(pattern: str) -> int:
    return pattern.replace("**", "*").count("*")


def _what_is_there(root: Path) -> str:
    if not root.exists():
        return f"; there is no folder {root}"
    if not root.is_dir():
        return f"; {root} is a file, not a folder"
    names: Sequence[str] = [entry.name for entry in entries(root)]
    return f"; {root} holds {shorten(names) if names else 'nothing'}"
