"""The formats of annotations by the names that dataset.yaml calls them."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from effunet.data.shapes.annotations import Annotations
from effunet.data.shapes.cityscapes import read_cityscapes
from effunet.data.shapes.coco import read_coco
from effunet.data.shapes.cvat import read_cvat
from effunet.data.shapes.label_studio import read_label_studio
from effunet.data.shapes.labelme import read_labelme
from effunet.data.shapes.paint import Order


@dataclass(frozen=True)
class Format:
    """How a format is read, whether each image has a file of its own, and which shape lies above.

    read raises DataError: one line with the file, the image, the shape and the mend.
    """

    one_file_per_image: bool
    read: Callable[[Path], Annotations]
    order: Order


FORMATS = {
    # COCO's objects overlap in no order of their own; a small one in front of a large one is seen.
    "coco": Format(False, read_coco, "area"),
    "labelme": Format(True, read_labelme, "file"),
    "cvat": Format(False, read_cvat, "file"),
    "label_studio": Format(False, read_label_studio, "file"),
    "cityscapes": Format(True, read_cityscapes, "file"),
}
