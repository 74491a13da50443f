"""Published segmenters of other authors, with their sources; figures that are not given are None.

Each was trained by its own recipe: they say where a field stands, not what an encoder is worth.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Known:
    """One published figure."""

    name: str
    miou: float  # 0..1, one scale
    parameters: float | None
    macs: float | None  # of one image of the size below
    source: str


YOLO = "github.com/ultralytics/ultralytics, docs/macros/yolo-semseg-perf.md (GFLOPs halved)"
SEGFORMER = "Xie et al. 2021, arXiv 2105.15203 (parameters); mmsegmentation's SegFormer README"
EFFICIENTVIT = "github.com/mit-han-lab/efficientvit"
TIRAMISU = "Jegou et al. 2017, arXiv 1611.09326, Table 1"

CITYSCAPES = (
    Known("YOLO26n", 0.774, 1.6e6, 22.7e9 / 2, YOLO),
    Known("YOLO26s", 0.801, 6.5e6, 88.8e9 / 2, YOLO),
    Known("YOLO26m", 0.816, 14.3e6, 304.5e9 / 2, YOLO),
    Known("YOLO26l", 0.828, 17.9e6, 384.7e9 / 2, YOLO),
    Known("YOLO26x", 0.832, 40.2e6, 861.7e9 / 2, YOLO),
    Known("SegFormer-B0", 0.7654, 3.8e6, None, SEGFORMER),
    Known("SegFormer-B1", 0.7856, 13.7e6, None, SEGFORMER),
    Known("SegFormer-B2", 0.8108, 27.5e6, None, SEGFORMER),
    Known("SegFormer-B3", 0.8194, 47.3e6, None, SEGFORMER),
    Known("SegFormer-B5", 0.8225, 84.7e6, None, SEGFORMER),
    Known("EfficientViT-L1", 0.82716, 40e6, 282e9, EFFICIENTVIT),
    Known("EfficientViT-L2", 0.83228, 53e6, 396e9, EFFICIENTVIT),
)
"""val, 19 classes, 1024 x 2048."""

CAMVID = (Known("FC-DenseNet103", 0.669, 9.4e6, None, TIRAMISU),)
"""test, 11 classes, 360 x 480."""

PUBLISHED = {("cityscapes", "val"): CITYSCAPES, ("camvid", "test"): CAMVID}
