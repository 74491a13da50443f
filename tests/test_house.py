"""The house keeps its own rules: layers, style, file sizes, and a wheel that works anywhere."""

import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
SOURCES = sorted((REPOSITORY / "effunet").rglob("*.py"))
LONGEST_FILE = 300
LONGEST_ALONE = 400
"""Lines of effunet/runtime.py, which is handed out as one file."""


def run(*words: str, cwd: Path = REPOSITORY, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **variables}
    return subprocess.run(
        [sys.executable, *words], cwd=cwd, env=environment, capture_output=True, text=True
    )


def test_every_import_keeps_to_the_layers():
    code = "from importlinter.cli import lint_imports; raise SystemExit(lint_imports())"
    done = run("-c", code)
    assert done.returncode == 0, done.stdout
    assert "0 broken" in done.stdout


@pytest.mark.parametrize("words", [["check"], ["format", "--check"]])
def test_the_code_is_in_ruffs_order(words: list[str]):
    done = run("-m", "ruff", *words)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("file", SOURCES, ids=lambda file: str(file.relative_to(REPOSITORY)))
def test_no_file_holds_two_ideas(file: Path):
    longest = LONGEST_ALONE if file.name == "runtime.py" else LONGEST_FILE
    assert len(file.read_text().splitlines()) <= longest


def test_nothing_unsafe_is_called_anywhere():
    unsafe = re.compile(
        r"pickle\.load|yaml\.load\(|instantiate\(|shell=True|weights_only=False|\beval\(|\bexec\("
    )
    for file in SOURCES:
        code = re.sub(r"\.eval\(\)", "", file.read_text())
        assert not unsafe.search(code), file


def test_the_network_is_never_reached_by_importing_or_describing(tmp_path: Path):
    (tmp_path / "sitecustomize.py").write_text(
        "import socket\n"
        # An exit, since a library may swallow exceptions where it looks for news of itself.
        "def refuse(*_, **__): raise SystemExit('the network was reached')\n"
        "socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse\n"
    )
    code = (
        "import sys, effunet.training.run; from effunet.data.augment.augment import Augment\n"
        "assert 'albumentations' not in sys.modules\n"
        "Augment('strong', (32, 32)); print('quiet')"
    )
    path = f"{tmp_path}{os.pathsep}{REPOSITORY}"
    done = run("-c", code, PYTHONPATH=path, NO_ALBUMENTATIONS_UPDATE="")
    assert done.stdout.strip() == "quiet", done.stderr


def test_the_wheel_carries_conf_and_descriptions_and_works_from_another_folder(tmp_path: Path):
    done = run("-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path))
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    place, elsewhere = tmp_path / "installed", tmp_path / "elsewhere"
    elsewhere.mkdir()
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(place)
    code = (
        "import sys, effunet; from effunet.cli import main\n"
        "from effunet.data.catalog import open_dataset\n"
        "from effunet.data.describe.shelf import known_names\n"
        "from importlib.resources import files\n"
        "page = files('effunet.evaluation.page')\n"
        "assert page.joinpath('style.css').is_file() and page.joinpath('sort.js').is_file()\n"
        "print(effunet.__file__, known_names(), len(open_dataset('synthetic', 'val')))\n"
        "sys.exit(main(['train', 'encoder=b3', '--cfg', 'job']))\n"
    )
    done = run("-c", code, cwd=elsewhere, PYTHONPATH=str(place))
    assert done.returncode == 0, done.stderr
    assert str(place) in done.stdout
    described = sorted(file.parent.name for file in REPOSITORY.glob("data/*/dataset.yaml"))
    assert f"{described} 64" in done.stdout
    assert "name: b3" in done.stdout
    assert list(elsewhere.iterdir()) == []


def test_the_public_words_come_when_they_are_used_and_not_before():
    code = (
        "import sys, effunet\n"
        "assert 'torch' not in sys.modules\n"
        "assert all(getattr(effunet, word) is not None for word in effunet.__all__)\n"
        "assert 'pytorch_lightning' not in sys.modules and 'hydra' not in sys.modules\n"
        "assert 'albumentations' not in sys.modules\n"
        "assert 'segmentation_models_pytorch' not in sys.modules\n"
        "print('fine')\n"
    )
    assert run("-c", code).stdout == "fine\n"
