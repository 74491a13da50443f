"""Facts as metrics.json holds them, made from a confusion matrix, and pictures of noise."""

from itertools import pairwise
from typing import Any

import numpy as np

from effunet.evaluation.page.parts import Figure, Panel, Section
from effunet.metrics.regions import DISTANCES, SIZES

AWKWARD = '<b>&"x'
CHINESE = "\u884c\u4eba"


def made_matrix(classes: int, seed: int = 0, absent: tuple[int, ...] = ()) -> np.ndarray:
    """Counts with a strong diagonal; absent classes stand in neither truth nor prediction."""
    noise = np.random.default_rng(seed)
    matrix = noise.integers(0, 2000, (classes, classes)) * (noise.random((classes, classes)) < 0.6)
    matrix[np.diag_indices(classes)] = noise.integers(10_000, 200_000, classes)
    for index in absent:
        matrix[index] = 0
        matrix[:, index] = 0
    return matrix


def made_facts(
    classes: int = 11, seed: int = 0, absent: tuple[int, ...] = (), names: tuple[str, ...] = ()
) -> dict[str, Any]:
    """Every key of a report, all numbers consistent with one matrix or drawn from the seed."""
    noise = np.random.default_rng(seed + 1)
    matrix = made_matrix(classes, seed, absent)
    names = names or tuple(f"class {index}" for index in range(classes))
    entries = [_entry(matrix, index, name, noise) for index, name in enumerate(names)]
    means = {
        key: _mean([entry[key] for entry in entries])
        for key in ("iou", "accuracy", "dice", "boundary_iou", "boundary_f")
    }
    scalars = {
        "miou": means["iou"],
        "image_miou": 0.5217,
        "frequency_weighted_iou": 0.8123,
        "pixel_accuracy": float(np.trace(matrix) / max(matrix.sum(), 1)),
        "mean_accuracy": means["accuracy"],
        "mean_dice": means["dice"],
        "boundary_iou": means["boundary_iou"],
        "boundary_f": means["boundary_f"],
    }
    around = {k: [v - 0.021, v + 0.019] for k, v in scalars.items() if v is not None}
    edges = np.linspace(0, 1, 16).tolist()
    return {
        **scalars,
        "counted": sum(entry["iou"] is not None for entry in entries),
        "boundary_distances": {"iou": 0.02, "f": 0.0075},
        "pixels": int(matrix.sum()),
        "images": 233,
        "dataset": "camvid",
        "split": "test",
        "how": "whole images; labels at their own size, never resized",
        "model": "runs/x/segmenter.safetensors",
        "library": "effunet 0.1.0",
        "parameters": 6_251_469,
        "classes": entries,
        "categories": {
            "miou": 0.81,
            "classes": [
                {"name": "flat", "iou": 0.93, "pixels": 123_456},
                {"name": "void", "iou": None, "pixels": 0},
            ],
        },
        "iiou": {
            "mean": 0.41,
            "classes": [{"name": "car", "iiou": 0.41}, {"name": "train", "iiou": None}],
            "category_mean": 0.52,
            "categories": [{"name": "vehicle", "iiou": 0.52}],
        },
        "intervals": {"level": 0.95, "resamples": 1000, "seed": 0, **around, "ece": [0.02, 0.04]},
        "ece": 0.031,
        "category_miou": 0.81,
        "category_iiou": 0.52,
        "confusion": matrix.tolist(),
        "calibration": {
            "ece": 0.031,
            "bins": [
                {
                    "low": low,
                    "high": high,
                    "pixels": 4 ** (place // 2) if place > 3 else 0,
                    "confidence": (low + high) / 2,
                    "accuracy": max(0.0, (low + high) / 2 - 0.1 * (1 - low)),
                }
                for place, (low, high) in enumerate(pairwise(edges))
            ],
            "temperature": 1.34,
            "threshold": None,
        },
        "errors": _errors(matrix, names),
        "unreadable": [{"name": "0016E5_<08151>.png", "why": "the file ends after 12 kB & is cut"}],
    }


def made_sections(seed: int = 0) -> list[Section]:
    """One section of each kind; the pictures are noise of several sizes."""
    noise = np.random.default_rng(seed)

    def panel(title: str, height: int, width: int, smooth: bool) -> Panel:
        coarse = noise.integers(0, 4, (height, width, 1), np.uint8) * np.uint8(60)
        return Panel(title, np.repeat(coarse, 3, axis=2), smooth)

    return [
        Section(
            key,
            f"Section {key} {AWKWARD}",
            f"What is seen in {key} {AWKWARD}.",
            tuple(
                Figure(
                    f"figure {number} {AWKWARD}",
                    "its caption",
                    (panel("image", 36, 1000, True), panel(f"map {AWKWARD}", 24, 31, False)),
                )
                for number in range(2)
            ),
        )
        for key in ("worst", "confused", "suspects")
    ]


def made_comparison(models: int = 3, classes: int = 5) -> dict[str, Any]:
    """Several reports of the same classes, with differences to the first and one group of seeds."""
    reports = [{"name": f"run {i} {AWKWARD}", **made_facts(classes, i)} for i in range(models)]
    first = reports[0]
    keys = [key for key in first["intervals"] if key not in ("level", "resamples", "seed", "ece")]
    return {
        "models": reports,
        "differences": [
            {
                "name": other["name"],
                "to": first["name"],
                **{key: _difference(first[key], other[key], 0.004 * place) for key in keys},
                "classes": [
                    {"name": a["name"], **_difference(a["iou"], b["iou"], 0.01)}
                    for a, b in zip(first["classes"], other["classes"], strict=True)
                ],
            }
            for place, other in enumerate(reports[1:], 1)
        ],
        "seeds": [
            {
                "runs": [report["name"] for report in reports],
                "miou": {
                    "mean": float(np.mean([report["miou"] for report in reports])),
                    "std": 0.0123,
                    "values": [report["miou"] for report in reports],
                },
                "ece": None,
            }
        ],
    }


def _entry(matrix: np.ndarray, index: int, name: str, noise: np.random.Generator) -> dict[str, Any]:
    hits, true, said = matrix[index, index], matrix[index].sum(), matrix[:, index].sum()
    iou = _share(hits, true + said - hits)
    edge = None if iou is None else float(iou * noise.uniform(0.5, 0.9))
    return {
        "name": name,
        "color": noise.integers(0, 256, 3).tolist(),
        "iou": iou,
        "accuracy": _share(hits, true),
        "precision": _share(hits, said),
        "dice": _share(2 * hits, true + said),
        "boundary_iou": edge,
        "boundary_f": edge,
        "pixels": int(true),
        "predicted": int(said),
        "images": int(noise.integers(1, 233)) if true else 0,
        "interval": None if iou is None else [iou * 0.9, min(1.0, iou * 1.05)],
    }


def _errors(matrix: np.ndarray, names: tuple[str, ...]) -> dict[str, Any]:
    pixels, wrong = int(matrix.sum()), int(matrix.sum() - np.trace(matrix))
    off = matrix.copy()
    np.fill_diagonal(off, 0)
    places = np.argsort(-off, axis=None, kind="stable")[: min(12, np.count_nonzero(off))]
    pairs = [divmod(int(place), len(off)) for place in places]
    shares = (0.3, 0.2, 0.2, 0.1, 0.1, 0.05, 0.05)
    return {
        "sizes": [
            {"low": low, "high": high, "objects": 10, "pixels": pixels // 4, "wrong": wrong // 4}
            for low, high in pairwise([0, *SIZES, None])
        ],
        "distances": [
            {"low": low, "high": high, "pixels": pixels // 7, "wrong": int(wrong * share)}
            for (low, high), share in zip(pairwise([0, *DISTANCES, None]), shares, strict=True)
        ],
        "confused": [
            {
                "truth": names[truth],
                "predicted": names[predicted],
                "pixels": int(off[truth, predicted]),
                "share": float(off[truth, predicted] / matrix[truth].sum()),
            }
            for truth, predicted in pairs
        ],
    }


def _difference(one: float | None, other: float | None, width: float) -> dict[str, Any]:
    if one is None or other is None:
        return {"difference": None, "interval": None}
    return {"difference": other - one, "interval": [other - one - width, other - one + width]}


def _share(part: int, whole: int) -> float | None:
    return float(part / whole) if whole else None


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
