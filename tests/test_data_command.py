"""effunet data: what each action prints, writes and refuses, and with which exit code."""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from dataset_trees import (
    camvid_tree,
    plain_folder,
    random_image,
    stripes,
    tree_digest,
    write_png,
)
from PIL import Image

from effunet import artifact
from effunet.cli import main
from effunet.commands.data import PRESETS as WORDS
from effunet.commands.data.sheet import Panel, draw_sheet
from effunet.data import memory
from effunet.data.augment.presets import PRESETS
from effunet.data.catalog import open_dataset
from effunet.data.check.statistics import split_statistics
from effunet.labels import LabelClass, LabelMap
from effunet.training.recipe.balance import FORMULAS, class_weights

REPOSITORY = Path(__file__).resolve().parents[1]
CAMVID = Path(os.environ.get("CAMVID", REPOSITORY / "../shared/data/camvid"))
real = pytest.mark.skipif(not CAMVID.is_dir(), reason="CamVid is not there: set CAMVID")

PUBLISHED = {  # pixels of values 0 to 11; README of the data
    "train": [
        10682767, 14750079, 623349, 20076880, 2845085, 6166762, 743859, 714595, 3719877, 405385,
        184967, 2503995,
    ],
    "val": [
        1601620, 4531180, 98499, 5053176, 1521751, 2851125, 155724, 537197, 304716, 113531, 387010,
        297271,
    ],
    "test": [
        6870982, 9906732, 473895, 10390661, 3731857, 4530895, 406612, 476807, 1599124, 255232,
        76220, 1543383,
    ],
}  # fmt: skip


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder and a cache of this test alone."""
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(memory, "SETTLED", 0)
    for variable in ("CAMVID", "CITYSCAPES_DATASET"):
        monkeypatch.delenv(variable, raising=False)
    return work


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A faultless described dataset of 4 + 2 pairs."""
    root = plain_folder(tmp_path / "mine")
    (root / "dataset.yaml").write_text("title: Mine\nclasses: [sky, road, car]\nignore: [255]\n")
    return root


def data(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of `effunet data WORDS`."""
    capsys.readouterr()
    try:
        code = main(["data", *map(str, words)])
    except SystemExit as stop:  # argparse's own way
        code = stop.code if isinstance(stop.code, int) else 1
    out, err = capsys.readouterr()
    return code, out, err


# check


def test_a_faultless_dataset_is_told_as_such(folder: Path, capsys: pytest.CaptureFixture[str]):
    code, out, err = data(capsys, "check", folder)
    assert (code, err) == (0, "")
    assert "mine (Mine)" in out
    assert "train      4         32 x 48   3 of 3" in out
    assert "no faults and no warnings; every image and mask of 6 pairs was read\n" in out
    # The third split that a folder may have is not there.
    assert "note: missing split" in out and "mine, split test: no images found" in out
    _, out, _ = data(capsys, "check", folder)
    assert "was read before, and no file has changed since" in out


def test_faults_are_grouped_with_their_mends_and_end_with_code_3(
    folder: Path, capsys: pytest.CaptureFixture[str]
):
    for index in (1, 2):
        (folder / f"train/images/train_{index:03d}.png").write_bytes(b"nothing")
    write_png(folder / "val/masks/val_001.png", stripes((0, 77)))
    code, out, err = data(capsys, "check", folder)
    assert code == 3
    assert err.startswith("effunet: mine: 3 faults and no warnings; mend what is listed")
    assert err.count("\n") == 1
    assert "fault: unreadable (2)" in out and "fault: unknown values\n" in out
    assert out.count("-> restore it, or remove it and its partner") == 1
    assert "-> list each under the `values` of its class, or write `ignore: [77]`" in out
    assert out.index("fault:") < out.index("note:")


def test_many_findings_of_a_kind_are_cut_in_the_report_and_whole_in_json(
    folder: Path, capsys: pytest.CaptureFixture[str]
):
    for index in range(4, 20):
        for kind in ("images", "masks"):
            file = folder / f"train/{kind}/train_{index:03d}.png"
            file.write_bytes(b"nothing at all")
    code, out, _ = data(capsys, "check", folder)
    assert code == 3 and "fault: unreadable (32)" in out and "and 22 more: --json lists them" in out
    code, out, _ = data(capsys, "check", folder, "--json")
    found = json.loads(out)["findings"]
    assert code == 3 and sum(finding["kind"] == "unreadable" for finding in found) == 32


def test_warnings_end_with_code_3_only_where_one_is_strict(
    folder: Path, capsys: pytest.CaptureFixture[str]
):
    train, val = folder / "train/images/train_000.png", folder / "val/images/val_000.png"
    val.write_bytes(train.read_bytes())
    code, out, _ = data(capsys, "check", folder)
    assert code == 0 and "warning: shared images" in out and "-> remove one of each" in out
    code, _, err = data(capsys, "check", folder, "--strict")
    assert code == 3 and "no faults and 1 warning" in err


def test_only_the_splits_asked_for_are_read(folder: Path, capsys: pytest.CaptureFixture[str]):
    (folder / "train/images/train_001.png").write_bytes(b"nothing")
    code, out, _ = data(capsys, "check", folder, "--split", "val", "--json")
    assert code == 0 and list(json.loads(out)["splits"]) == ["val"]
    code, _, err = data(capsys, "check", folder, "--split", "test")
    assert code == 3 and "no images found" in err


@pytest.mark.parametrize("crop", [["64", "32"], ["64x32"], ["64X32"]])
def test_images_smaller_than_the_crop_are_told(
    folder: Path, capsys: pytest.CaptureFixture[str], crop: list[str]
):
    code, out, _ = data(capsys, "check", folder, "--crop", *crop)
    assert code == 0 and "4 of 4 images are smaller than the crop of 64 x 32" in out


@pytest.mark.parametrize("crop", [["a"], ["0", "3"], ["1", "2", "3"], ["-1"], ["1x2x3"]])
def test_a_crop_that_is_none_is_refused(
    folder: Path, capsys: pytest.CaptureFixture[str], crop: list[str]
):
    code, _, err = data(capsys, "check", folder, "--crop", *crop)
    assert code == 2 and "--crop" in err


def test_json_is_the_same_as_data(folder: Path, capsys: pytest.CaptureFixture[str]):
    code, out, _ = data(capsys, "check", folder, "--json")
    plain = json.loads(out)
    assert code == 0 and plain["dataset"] == "mine"
    assert plain["described_in"] == str(folder / "dataset.yaml")
    train = plain["splits"]["train"]
    assert (train["pairs"], train["read_images"], train["read_masks"]) == (4, 4, 4)
    assert train["smallest"] == train["largest"] == [32, 48]
    assert [entry["name"] for entry in train["classes"]] == ["sky", "road", "car"]
    assert sum(entry["pixels"] for entry in train["classes"]) == 4 * 32 * 48


def test_nothing_is_ever_written_into_the_folder(folder: Path, capsys: pytest.CaptureFixture[str]):
    before = tree_digest(folder)
    for words in (["check", folder], ["stats", folder], ["preview", folder, "--augment", "none"]):
        assert data(capsys, *words)[0] == 0
    assert tree_digest(folder) == before


def test_what_is_drawn_on_demand_has_no_files_to_read(capsys: pytest.CaptureFixture[str]):
    code, out, _ = data(capsys, "check", "synthetic")
    assert code == 0 and "train, val, test made on demand: no files to read" in out


def test_an_unknown_name_and_an_undescribed_folder_are_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    code, out, err = data(capsys, "check", "camvit")
    assert (code, out) == (3, "") and "did you mean camvid?" in err
    root = plain_folder(tmp_path / "bare", values=(0, 255))
    code, out, err = data(capsys, "check", root)
    assert code == 0 and "two classes, background = 0 and foreground = 255" in err
    assert "3 of 3" not in out and "2 of 2" in out


def faultless(capsys: pytest.CaptureFixture[str], name: str) -> dict[str, Any]:
    """What the check says of the real CamVid, in which it finds nothing to mend."""
    code, out, _ = data(capsys, "check", name, "--root", CAMVID, "--json", "--strict")
    plain = json.loads(out)
    assert code == 0 and plain["findings"] == []
    return plain


@real
def test_the_real_camvid_has_its_published_pixels_and_no_fault(
    capsys: pytest.CaptureFixture[str],
):
    plain = faultless(capsys, "camvid")
    for split, pixels in PUBLISHED.items():
        found = plain["splits"][split]
        assert [entry["pixels"] for entry in found["classes"]] == pixels[:11]
        assert found["ignored"] == pixels[11]


@real
def test_the_drives_of_the_real_camvid_are_its_training_images_parted(
    capsys: pytest.CaptureFixture[str],
):
    plain = faultless(capsys, "camvid:drives")
    parts = [plain["splits"][split]["classes"] for split in ("train", "val")]
    sums = [one["pixels"] + other["pixels"] for one, other in zip(*parts, strict=True)]
    assert sums == PUBLISHED["train"][:11]


# stats


def test_stats_are_those_that_a_training_weighs_with(
    folder: Path, capsys: pytest.CaptureFixture[str]
):
    code, out, _ = data(capsys, "stats", folder, "--split", "train", "--json")
    assert code == 0
    plain = json.loads(out)["splits"]["train"]
    counts = split_statistics(open_dataset(folder, "train"))
    assert [entry["pixels"] for entry in plain["classes"]] == list(counts.pixels)
    assert plain["class_weights"] == {name: class_weights(name, counts) for name in FORMULAS}
    assert plain["sizes"] == {
        "least": [32, 48], "median": [32, 48], "most": [32, 48], "aspect": [1.5] * 3, "distinct": 1,
    }  # fmt: skip
    assert plain["crop"] == [32, 32] and plain["images_measured"] == 4


def test_mean_and_deviation_are_those_of_all_pixels_of_the_images(
    folder: Path, capsys: pytest.CaptureFixture[str]
):
    _, out, _ = data(capsys, "stats", folder, "--split", "train", "--json")
    plain = json.loads(out)["splits"]["train"]
    images = np.stack([sample.image for sample in open_dataset(folder, "train")]) / 255
    np.testing.assert_allclose(plain["mean"], images.mean(axis=(0, 1, 2)), rtol=1e-12)
    np.testing.assert_allclose(plain["std"], images.std(axis=(0, 1, 2)), rtol=1e-9)


def test_the_table_of_stats_says_what_to_type(folder: Path, capsys: pytest.CaptureFixture[str]):
    code, out, _ = data(capsys, "stats", folder)
    assert code == 0 and "split train: 4 images; classes in 4 masks" in out
    assert "dataset.crop=[32,32]" in out and "loss.weighting=NAME" in out
    for name in ("sky", "road", "car", "ignored", *FORMULAS):
        assert name in out


def test_the_suggested_crop_fits_nine_of_ten_images(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    root = tmp_path / "sizes"
    for index in range(20):
        size = (40, 40) if index < 2 else (100 + index, 200)
        write_png(root / f"train/images/{index}.png", random_image(index, size))
        write_png(root / f"train/masks/{index}.png", stripes((0, 1, 2), size=size))
    (root / "dataset.yaml").write_text("classes: [a, b, c]\nsplits: [train]\n")
    _, out, _ = data(capsys, "stats", root, "--json")
    plain = json.loads(out)["splits"]["train"]
    assert plain["crop"] == [32, 32]  # the second of twenty is still a small one
    (root / "train/images/0.png").unlink()
    (root / "train/masks/0.png").unlink()
    _, out, _ = data(capsys, "stats", root, "--json")
    assert json.loads(out)["splits"]["train"]["crop"] == [96, 192]


def test_stats_of_a_faulty_dataset_are_refused(folder: Path, capsys: pytest.CaptureFixture[str]):
    write_png(folder / "train/masks/train_001.png", stripes((0, 77)))
    code, _, err = data(capsys, "stats", folder)
    assert code == 3 and "77 (768 px)" in err


# preview


def test_a_preview_shows_each_sample_twice_and_only_the_classes_that_occur(
    folder: Path, capsys: pytest.CaptureFixture[str], elsewhere: Path
):
    words = ["preview", folder, "--count", 3, "--crop", "32", "--augment", "light"]
    code, out, err = data(capsys, *words)
    assert (code, out, err) == (0, "wrote preview.png\n", "")
    with Image.open(elsewhere / "preview.png") as picture:
        assert picture.size[0] == 1600 and picture.mode == "RGB"
    first = (elsewhere / "preview.png").read_bytes()
    data(capsys, *words)
    assert (elsewhere / "preview.png").read_bytes() == first
    data(capsys, *words, "--seed", 1)
    assert (elsewhere / "preview.png").read_bytes() != first


def test_the_colours_of_a_preview_are_those_of_the_classes_and_stripes_where_none_counts():
    labels = LabelMap((LabelClass("sky", (0, 0, 200), (0,)), LabelClass("road", (200, 0, 0), (1,))))
    mask = np.repeat(np.array([0, 1, 255], np.uint8), 200)[None].repeat(300, axis=0)
    image = np.full((300, 600, 3), 100, np.uint8)
    picture = np.array(draw_sheet("t", ["a"], [[Panel("one", image, mask)]], labels))
    left, right = picture[200, 20:785], picture[200, 795:1580]
    assert (left == 100).all()
    assert tuple(right[100]) == (45, 45, 155) and tuple(right[390]) == (155, 45, 45)
    striped = right[600:700]
    assert (striped[:, 0] == striped[:, 1]).all() and len(np.unique(striped)) == 2


def test_a_sheet_takes_images_of_any_size_and_channels_and_long_names():
    classes = tuple(LabelClass(f"a long name of a class {i}", (i, 0, 0), (i,)) for i in range(60))
    rows = [
        [Panel("n" * 500, random_image(1, (high, wide))[..., :channels], mask)]
        for high, wide, channels in ((1, 1, 1), (3, 900, 3), (900, 3, 2), (64, 64, 3))
        for mask in [np.arange(high * wide).reshape(high, wide).astype(np.uint8) % 60]
    ]
    sheet = draw_sheet("t" * 900, ["b" * 3], rows, LabelMap(classes))
    assert sheet.width == 1600 and 1000 < sheet.height < 5000


def test_a_preview_says_where_it_cannot_write(folder: Path, capsys: pytest.CaptureFixture[str]):
    code, _, err = data(capsys, "preview", folder, "--out", folder)
    assert code == 2 and "is a folder: name a file" in err
    blocked = folder.parent / "blocked"
    blocked.write_text("")
    code, _, err = data(capsys, "preview", folder, "--out", blocked / "x.png")
    assert code == 2 and "is a file" in err


def test_the_presets_of_the_command_line_are_those_that_there_are():
    assert tuple(PRESETS) == WORDS


# init


def test_init_writes_a_description_that_the_check_passes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    root = camvid_tree(tmp_path / "town")
    code, out, _ = data(capsys, "init", root)
    assert code == 0 and f"wrote {root / 'dataset.yaml'}: read and correct it" in out
    assert f"effunet data check {root}\n" in out
    assert f"python train.py dataset=folder dataset.root={root}\n" in out
    assert data(capsys, "check", root, "--strict")[0] == 0


def test_init_never_replaces_a_file_unasked(folder: Path, capsys: pytest.CaptureFixture[str]):
    before = (folder / "dataset.yaml").read_bytes()
    code, _, err = data(capsys, "init", folder)
    assert code == 2 and "--force replaces it" in err
    assert (folder / "dataset.yaml").read_bytes() == before
    assert data(capsys, "init", folder, "--force")[0] == 0
    assert (folder / "dataset.yaml").read_bytes() != before


@pytest.mark.parametrize("out", ["elsewhere", "elsewhere/dataset.yaml"])
def test_init_writes_elsewhere_and_leaves_the_folder_alone(
    tmp_path: Path, elsewhere: Path, capsys: pytest.CaptureFixture[str], out: str
):
    root = camvid_tree(tmp_path / "a town")
    before = tree_digest(root)
    code, told, _ = data(capsys, "init", root, "--out", out)
    assert code == 0 and (elsewhere / "elsewhere/dataset.yaml").is_file()
    assert f"effunet data check elsewhere --root '{root}'\n" in told
    assert tree_digest(root) == before
    assert data(capsys, "check", "elsewhere", "--root", root)[0] == 0


def test_init_refuses_another_name_of_the_file(folder: Path, capsys: pytest.CaptureFixture[str]):
    code, _, err = data(capsys, "init", folder, "--out", "mine.yaml")
    assert code == 2 and "looks for dataset.yaml" in err


def test_a_description_that_cannot_be_written_is_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    def refuse(path: Path, content: bytes) -> None:
        raise OSError(errno.EROFS, "Read-only file system", str(path))

    monkeypatch.setattr(artifact, "write", refuse)
    root = camvid_tree(tmp_path / "town")
    before = tree_digest(root)
    code, out, err = data(capsys, "init", root)
    assert code == 5 and "cannot be written (Read-only file system): --out FILE" in err
    assert yaml.safe_load(out)["layouts"] and tree_digest(root) == before


def test_the_words_of_the_command_load_neither_torch_nor_numpy():
    code = (
        "import sys; from effunet.cli import main\n"
        "try: main(['data', '--help'])\n"
        "except SystemExit: pass\n"
        "sys.exit(bool({'torch', 'numpy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True)
    assert done.returncode == 0


def test_a_check_loads_no_torch(folder: Path):
    code = (
        "import sys; from effunet.cli import main\n"
        f"code = main(['data', 'check', {str(folder)!r}])\n"
        "sys.exit(code or 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
