"""The command line: what it prints, writes and refuses, and with which exit code."""

import hashlib
import json
import os
import pickle
import re
import struct
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tiny_segmenter import LABELS, random_image, saved, tiny_segmenter

from effunet import artifact
from effunet.cli import guarded, main
from effunet.commands.outputs import plan
from effunet.errors import DataError, DivergedError, UsageError

ROOT = Path(__file__).resolve().parents[1]
SCORES = {"miou": 0.5, "pixel_accuracy": 0.75, "dataset": "streets", "split": "val"}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "one"
    folder.mkdir()
    saved(folder, dataset="streets", training_size=[64, 96], scores=SCORES)
    return folder


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    for name, size in {"a.jpg": (40, 50), "in/b.png": (33, 20), "in/deep/a.jpg": (64, 64)}.items():
        _image(folder / name, *size)
    return folder


def _image(path: Path, height: int = 40, width: int = 50) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(random_image(height, width)).save(path)
    return path


def _tree(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def _run(*words: object) -> int:
    return main([str(word) for word in words])


def _fails(capsys: pytest.CaptureFixture[str], code: int, says: str, *words: object) -> None:
    """One line on standard error with this text, nothing else, and the exit code."""
    capsys.readouterr()
    try:
        result = _run(*words)
    except SystemExit as stop:  # argparse's own way
        result = stop.code
    out, err = capsys.readouterr()
    assert (result, out) == (code, "")
    assert err.startswith("effunet: ") and err.count("\n") == 1 and err.endswith("\n")
    assert re.search(says, err), err


# Start-up


@pytest.mark.parametrize(
    "words",
    [
        ["--help"],
        ["evaluate", "--help"],
        ["predict", "--help"],
        ["import", "--help"],
        ["benchmark", "--help"],
        ["info", "MODEL"],
    ],
)
def test_help_and_info_start_without_torch(words: list[str], model: Path) -> None:
    words = [str(model) if word == "MODEL" else word for word in words]
    code = (
        "import sys\nfrom effunet.cli import main\n"
        f"try: main({words!r})\nexcept SystemExit as stop: assert stop.code == 0\n"
        "heavy = {'torch', 'numpy', 'matplotlib', 'cv2', 'hydra'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout


def test_a_wrong_model_or_image_is_told_before_torch_is_loaded(model: Path, tmp_path: Path) -> None:
    code = (
        "import sys\nfrom effunet.cli import main\n"
        f"assert main(['predict', 'nowhere', 'x.png', '--out', {str(tmp_path)!r}]) == 4\n"
        f"assert main(['evaluate', 'nowhere', '--data', 'camvid']) == 4\n"
        f"assert main(['predict', {str(model)!r}, 'x.png', '--out', {str(tmp_path)!r}]) == 3\n"
        "assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()


# Usage


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "required: COMMAND; see effunet --help"),
        (["evalute"], "evalute.*choose from .*evaluate"),
        (["evaluate", "m"], "--data; see effunet evaluate --help"),
        (["predict", "m", "--out", "o"], "IMAGE_OR_DIR"),
        (["predict", "m", "i"], "--out"),
        (["info", "m", "--nonsense"], "--nonsense"),
        (["import", "smp", "u.ckpt", "--out", "o"], "--classes; see effunet import --help"),
        (["import", "keras", "u.h5"], "keras.*choose from .*smp"),
        (["import", "smp", "u", "--numerics", "tensorflow"], "tensorflow.*lukemelas"),
        (["evaluate", "m", "--data", "d", "--device", "tpu"], "tpu"),
        (["evaluate", "m", "--data", "d", "--tile", "big"], "number of pixels, got 'big'"),
    ],
)
def test_a_command_line_that_cannot_be_meant_ends_with_2(
    capsys: pytest.CaptureFixture[str], words: list[str], says: str
) -> None:
    _fails(capsys, 2, says, *words)


def test_a_tile_off_the_grid_ends_with_2_and_the_nearest_sizes(
    capsys: pytest.CaptureFixture[str], model: Path, photos: Path, tmp_path: Path
) -> None:
    words = ("predict", model, photos, "--out", tmp_path / "out", "--tile", 100)
    _fails(capsys, 2, "--tile: tile must be a multiple of 32 .*use 96 or 128", *words)
    assert not (tmp_path / "out").exists()


def test_train_hands_every_word_on(monkeypatch: pytest.MonkeyPatch) -> None:
    from effunet.training import launch

    seen: list[list[str]] = []
    monkeypatch.setattr(launch, "main", lambda words: seen.append(words) or 0)
    assert main(["train", "-m", "encoder=b0,b1", "--help", "debug=fast"]) == 0
    assert seen == [["-m", "encoder=b0,b1", "--help", "debug=fast"]]


# Errors


def _raises(error: BaseException) -> Callable[[], int]:
    def work() -> int:
        raise error

    return work


@pytest.mark.parametrize(
    ("error", "code", "says"),
    [
        (DivergedError("the loss is not finite"), 6, "the loss is not finite"),
        (KeyboardInterrupt(), 130, "stopped"),
        (OSError(28, "No space left on device", "/x/y"), 5, "/x/y: No space left .* free some"),
        (PermissionError(13, "Permission denied", "/x/y"), 5, "/x/y: .*permissions"),
        (OSError(30, "Read-only file system", "/x/y"), 5, "/x/y: .*name another place"),
        (MemoryError(), 5, "out of memory: use a smaller --tile"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: ..."), 5, "out of memory"),
        (KeyError("gone"), 1, r"a bug of effunet.*KeyError: 'gone'.*--debug"),
        (FileNotFoundError(2, "No such file", "/x"), 1, "a bug"),
        (UsageError("a\nb\x1b[31m"), 2, r"a\\nb\\x1b\[31m"),
    ],
)
def test_every_error_is_one_line_and_its_exit_code(
    capsys: pytest.CaptureFixture[str], error: BaseException, code: int, says: str
) -> None:
    assert guarded(_raises(error)) == code
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and re.search(says, err), err
    assert guarded(_raises(error), debug=True) == code
    assert "Traceback" in capsys.readouterr().err


def test_torch_s_own_out_of_memory_ends_with_5(capsys: pytest.CaptureFixture[str]) -> None:
    import torch

    assert guarded(_raises(torch.OutOfMemoryError("CUDA out of memory."))) == 5
    assert "--tile" in capsys.readouterr().err


def test_debug_shows_where_and_keeps_the_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["--debug", "info", "nowhere"], ["info", "nowhere", "--debug"]):
        assert main(words) == 4
        assert "Traceback" in capsys.readouterr().err
    assert main(["info", "nowhere"]) == 4
    assert "Traceback" not in capsys.readouterr().err


def test_a_reader_that_leaves_early_is_no_error(model: Path) -> None:
    for option in ("", "--json"):
        # `true` has ended before the first line comes.
        command = f"{sys.executable} -m effunet.cli info {model} {option} | true; exit $PIPESTATUS"
        done = subprocess.run(["bash", "-c", command], cwd=ROOT, capture_output=True, check=False)
        assert (done.returncode, done.stderr) == (0, b"")


class Payload:
    """A pickle that leaves a canary behind when it is read."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return os.mkdir, (str(self.canary),)


@pytest.mark.parametrize("name", ["segmenter.safetensors", "last.ckpt", "model.pt", "m.bin"])
def test_no_command_reads_a_pickle(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, name: str
) -> None:
    file, canary = tmp_path / name, tmp_path / "canary"
    file.write_bytes(pickle.dumps(Payload(canary)))
    image = _image(tmp_path / "a.png")
    _fails(capsys, 4, "pickle", "info", file)
    _fails(capsys, 4, "pickle", "evaluate", file, "--data", "synthetic")
    _fails(capsys, 4, "pickle", "predict", file, image, "--out", tmp_path / "out")
    assert not canary.exists() and not (tmp_path / "out").exists()


# info


def test_info_tells_all_that_a_person_needs(
    capsys: pytest.CaptureFixture[str], model: Path
) -> None:
    assert _run("info", model) == 0
    text = " ".join(capsys.readouterr().out.split())
    for words in (
        "EfficientNet tiny: 5 stages, 5 blocks", "unet 16-12-8-8-8", "at 64 x 96",
        "any size, 3 channels, 0..255", "mean 0.485 0.456 0.406", "on streets",
        "mIoU 50.0 %, pixel accuracy 75.0 % on streets val", "#4682b4 sky", "#00008e car",
    ):  # fmt: skip
        assert words in text, (words, text)


def test_info_as_json_is_the_metadata(capsys: pytest.CaptureFixture[str], model: Path) -> None:
    assert _run("info", model, "--json") == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts.pop("path") == str(model / "segmenter.safetensors")
    assert facts.pop("bytes") == (model / "segmenter.safetensors").stat().st_size
    assert facts == artifact.read_header(model)


def test_info_refuses_a_description_with_holes(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = saved(tmp_path)
    data = file.read_bytes()
    # The same length, so that the header stays whole.
    for old, new in ((b"repeats", b"repeatz"), (b"color", b"colzr")):
        file.write_bytes(data.replace(old, new))
        _fails(capsys, 4, "damaged description", "info", file)


# predict


def test_predict_writes_a_mask_of_each_image_s_own_size_and_keeps_the_folders(
    capsys: pytest.CaptureFixture[str], model: Path, photos: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    assert _run("predict", model, photos, "--out", out, "--overlay", "--probabilities") == 0
    stems = ("a", "in/b", "in/deep/a")
    endings = (".png", "_overlay.png", ".npy")
    assert set(_tree(out)) == {stem + ending for stem in stems for ending in endings}
    segmenter = tiny_segmenter()
    for stem, image in zip(stems, ("a.jpg", "in/b.png", "in/deep/a.jpg"), strict=True):
        expected = segmenter(photos / image)
        with Image.open(out / f"{stem}.png") as picture:
            assert picture.mode == "P"
            assert np.array_equal(np.array(picture), expected.mask)
            assert picture.getpalette()[:9] == LABELS.palette.ravel().tolist()
        with Image.open(out / f"{stem}_overlay.png") as picture:
            assert np.array_equal(np.array(picture), expected.overlay())
        stored = np.load(out / f"{stem}.npy")
        assert stored.dtype == np.float16
        assert np.array_equal(stored, expected.probabilities.astype(np.float16))
    text = capsys.readouterr().out
    assert f"3 of 3 images -> {out}" in text
    assert "sky" in text and "%" in text


def test_a_second_run_gives_identical_bytes_and_touches_no_input(
    model: Path, photos: Path, tmp_path: Path
) -> None:
    before = _tree(photos)
    words = ("predict", model, photos, "--overlay", "--probabilities", "--tile", 64, "--flip")
    assert _run(*words, "--out", tmp_path / "one") == 0
    first = _tree(tmp_path / "one")
    assert _run(*words, "--out", tmp_path / "one") == 0
    assert _run(*words, "--out", tmp_path / "two") == 0
    assert first == _tree(tmp_path / "one") == _tree(tmp_path / "two")
    assert _tree(photos) == before


def test_results_inside_the_input_folder_are_not_predicted_again(model: Path, photos: Path) -> None:
    for _ in range(2):
        assert _run("predict", model, photos, "--out", photos / "masks") == 0
    assert set(_tree(photos / "masks")) == {"a.png", "in/b.png", "in/deep/a.png"}


def test_the_folder_of_the_images_is_no_place_for_results(
    capsys: pytest.CaptureFixture[str], model: Path, photos: Path
) -> None:
    before = _tree(photos)
    _fails(capsys, 2, "name another", "predict", model, photos, "--out", photos)
    assert _run("predict", model, photos / "a.jpg", "--out", photos) == 0
    assert _run("predict", model, photos / "in" / "b.png", "--out", photos / "in") == 0
    after = _tree(photos)
    assert {name: after[name] for name in before} == before
    assert set(after) - set(before) == {"a.png", "in/b-2.png"}


def test_no_two_images_share_a_result(tmp_path: Path) -> None:
    names = ("a.jpg", "a.png", "A.JPG", "b.jpg", "b_overlay.jpg", "x/a.jpg", "a.jpg.png", "b-2.png")
    for name in names:
        _image(tmp_path / "one" / name, 2, 2)
    _image(tmp_path / "two" / "b.jpg", 2, 2)
    out = tmp_path / "out"
    inputs = [tmp_path / "one", tmp_path / "two", tmp_path / "two" / "b.jpg"]
    jobs = plan(inputs, out)
    assert len(jobs) == 9
    results = [str(job.result(e)) for job in jobs for e in (".png", "_overlay.png", ".npy")]
    assert len({result.casefold() for result in results}) == 27
    assert jobs == plan(inputs, out)
    stems = {str(job.image.relative_to(tmp_path)): str(job.stem.relative_to(out)) for job in jobs}
    assert stems["one/x/a.jpg"] == "x/a"
    assert stems["one/b_overlay.jpg"] != "b_overlay" or stems["one/b.jpg"] != "b"


def test_a_bad_file_costs_only_itself_and_strict_stops_there(
    capsys: pytest.CaptureFixture[str], model: Path, photos: Path, tmp_path: Path
) -> None:
    (photos / "b.png").write_text("no image")
    out = tmp_path / "out"
    assert _run("predict", model, photos, "--out", out) == 3
    printed = capsys.readouterr()
    assert set(_tree(out)) == {"a.png", "in/b.png", "in/deep/a.png"}
    assert "3 of 4 images" in printed.out
    assert "1 of 4 images failed" in printed.err and "b.png" in printed.err
    words = ("predict", model, photos, "--out", tmp_path / "strict", "--strict")
    _fails(capsys, 3, r"b\.png", *words)
    assert set(_tree(tmp_path / "strict")) == {"a.png"}


def test_an_image_that_claims_to_be_giant_is_refused_from_its_header(
    capsys: pytest.CaptureFixture[str], model: Path, tmp_path: Path
) -> None:
    header = b"IHDR" + struct.pack(">IIBBBBB", 40_000, 40_000, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    (tmp_path / "bomb.png").write_bytes(b"\x89PNG\r\n\x1a\n" + chunk + b"\0" * 100)
    words = ("predict", model, tmp_path / "bomb.png", "--out", tmp_path / "out", "--strict")
    _fails(capsys, 3, r"bomb\.png", *words)


def test_no_image_and_no_file_end_with_3_and_what_was_looked_for(
    capsys: pytest.CaptureFixture[str], model: Path, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "notes.txt").write_text("x")
    out = tmp_path / "out"
    _fails(capsys, 3, r"no images in .*\.png", "predict", model, tmp_path / "empty", "--out", out)
    _fails(capsys, 3, "gone.png", "predict", model, tmp_path / "gone.png", "--out", out)
    _fails(capsys, 3, "too long", "predict", model, "x" * 300, "--out", out)
    assert not out.exists()


def test_a_place_that_cannot_be_written_ends_at_the_start(
    capsys: pytest.CaptureFixture[str],
    model: Path,
    photos: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "file").write_text("")
    for out in (tmp_path / "file", tmp_path / "file" / "below"):
        _fails(capsys, 2, "is a file: name a folder", "predict", model, photos, "--out", out)

    def refused(**_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(tempfile, "TemporaryFile", refused)
    words = ("predict", model, photos, "--out", tmp_path / "out")
    _fails(capsys, 5, "not writable", *words)


NAMES = (
    "ein Bild.png",
    "b\u00e4r-\u6f22.png",
    "a'b\"c.png",
    "a\nb.png",
    "-x.png",
    "k=v[0].png",
    "\u00e9" * 125 + ".png",
)


@pytest.mark.parametrize("name", NAMES)
def test_names_of_any_kind_find_their_results(model: Path, tmp_path: Path, name: str) -> None:
    _image(tmp_path / "in" / name)
    assert _run("predict", model, tmp_path / "in", "--out", tmp_path / "out", "--overlay") == 0
    names = list(_tree(tmp_path / "out"))
    assert len(names) == 2
    if len(name) < 100:
        assert names == [name[:-4] + ".png", name[:-4] + "_overlay.png"]


def test_a_name_that_is_no_text_is_printed_in_escapes(
    capsys: pytest.CaptureFixture[str], model: Path, tmp_path: Path
) -> None:
    folder = os.fsdecode(os.fsencode(tmp_path) + b"/\xff")
    _image(Path(folder) / "a.png")
    Path(folder, "b.png").write_text("no image")
    assert _run("predict", model, folder, "--out", Path(folder, "out")) == 3
    assert "\\udcff" in capsys.readouterr().err


def test_a_circle_of_links_and_a_pipe_do_not_hold_the_search(tmp_path: Path) -> None:
    _image(tmp_path / "in" / "a.png")
    (tmp_path / "in" / "loop").symlink_to(tmp_path / "in")
    os.mkfifo(tmp_path / "in" / "pipe.png")
    (tmp_path / "in" / "gone.png").symlink_to("nowhere")
    found = [job.image.name for job in plan([tmp_path / "in"], tmp_path / "out")]
    assert found == ["a.png", "gone.png"]


def test_the_plan_names_the_faults_of_its_inputs(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such image or folder"):
        plan([tmp_path / "gone"], tmp_path / "out")
    with pytest.raises(UsageError, match="name another"):
        plan([tmp_path], tmp_path)


# evaluate


@pytest.fixture
def streets(tmp_path: Path) -> Path:
    """A folder of the user's own, with the classes of the tiny segmenter."""
    folder = tmp_path / "streets"
    noise = np.random.default_rng(0)
    for split, count in (("train", 1), ("val", 3)):
        for index in range(count):
            image = _image(folder / split / "images" / f"{index}.png", 40, 48 + index)
            mask = noise.integers(0, 3, (40, 48 + index), np.uint8)
            mask[:5] = 255
            target = image.parents[1] / "masks" / image.name
            target.parent.mkdir(exist_ok=True)
            Image.fromarray(mask).save(target)
    classes = "".join(
        f"  - {{name: {label.name}, color: {list(label.color)}, values: {list(label.values)}}}\n"
        for label in LABELS.classes
    )
    (folder / "dataset.yaml").write_text(
        "name: streets\nsplits: [train, val]\nlayouts:\n"
        '  - {images: "{split}/images/*", masks: "{split}/masks/*"}\n'
        f"classes:\n{classes}ignore: [255]\n"
    )
    return folder


def test_evaluate_prints_the_table_and_writes_metrics_and_picture(
    capsys: pytest.CaptureFixture[str], model: Path, streets: Path, tmp_path: Path
) -> None:
    before = _tree(streets)
    assert _run("evaluate", model, "--data", streets, "--out", tmp_path / "out") == 0
    printed = capsys.readouterr()
    assert "split val: 3 images, whole images" in printed.out
    assert "mIoU over 3 of 3 classes" in printed.out
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert metrics["images"] == 3 and metrics["pixels"] == 35 * (48 + 49 + 50)
    with Image.open(tmp_path / "out" / "predictions.png") as picture:
        assert picture.width == 1200
    assert _tree(streets) == before


def test_evaluate_as_json_prints_nothing_else(
    capsys: pytest.CaptureFixture[str], model: Path, streets: Path
) -> None:
    assert _run("evaluate", model, "--data", streets, "--json", "--tile", 64, "--flip") == 0
    plain = json.loads(capsys.readouterr().out)
    assert plain["how"].startswith("tiles of 64 pixels, with the mirrored image")
    assert [entry["name"] for entry in plain["classes"]] == ["sky", "road", "car"]


def test_a_split_that_is_not_there_names_those_that_are(
    capsys: pytest.CaptureFixture[str], model: Path, streets: Path
) -> None:
    _fails(capsys, 3, "test.*train, val", "evaluate", model, "--data", streets, "--split", "test")


def test_classes_in_another_order_end_with_4(
    capsys: pytest.CaptureFixture[str], model: Path, streets: Path, tmp_path: Path
) -> None:
    description = streets / "dataset.yaml"
    text = description.read_text().replace("name: sky", "name: x").replace("name: car", "name: sky")
    description.write_text(text.replace("name: x", "name: car"))
    words = ("evaluate", model, "--data", streets, "--out", tmp_path / "out")
    _fails(capsys, 4, "0: 'sky' here, 'car' there", *words)
    assert not (tmp_path / "out").exists()
