"""Every word behind `python train.py` is checked before torch is imported; exit 2, one line."""

import subprocess
import sys
from pathlib import Path

import pytest

from effunet.errors import UsageError
from effunet.training.launch import prepare
from effunet.training.overrides import check

REPOSITORY = Path(__file__).resolve().parents[2]

WRONG = {
    "lrr=1": "optim.lr",
    "optim.lrr=1": "optim.lr",
    "max_step=4": "max_steps",
    "encodr=b0": "encoder",
    "dataset.rot=/x": "dataset.root",
    "+optim.lr=1": "key=value",
    "~optim.lr": "key=value",
    "encoder=b9": "b0, b1, b2, b3, b4, b5, b6, b7, phi",
    "decoder=unett": "unet",
    "dataset=camvd": "camvid",
    "augment=stret": "street",
    "loss=dic": "dice",
    "experiment=nothing": "experiment",
    "optim.lr=abc": "optim.lr",
    "optim.lr=-1": "more than 0",
    "optim.lr=nan": "more than 0",
    "optim.encoder_lr_factor=0": "more than 0",
    "batch_size=0": "at least 1",
    "batch_size=1.5": "batch_size",
    "max_steps=many": "max_steps",
    "augment.preset=stret": "did you mean street?",
    "loss.dice=2": "at most",
    "dataset.crop=[64]": "[height, width]",
    "dataset.crop=[16,16]": "at least 32",
    "dataset.crop=64": "dataset.crop",
    "augment.scale=[2,1]": "[low, high]",
    "decoder.widths=[1,2]": "five numbers",
    "encoder.phi=1": "encoder=phi",
    "dataset=folder": "dataset.root",
    "encoder=b0,b1": "add -m",
    "encoder={a:1}": "one by one",
    "encoder._target_=os.system": "unknown key",
    "seed=[1": "quotes",
    "hydra.foo=1": "hydra.foo",
    "name=a=b": "quotes",
    "loggers=[tensorbord]": "did you mean tensorboard?",
    "loggers=tensorboard": "loggers",
    "loggers=[csv]": "must be one of tensorboard, wandb, mlflow",
    "debug=overfitt": "did you mean overfit?",
    "debug=true": "must be one of overfit, fast",
    "dataset.on_error=ignore": "must be one of raise, skip",
    "dataset.on_eror=skip": "dataset.on_error",
    "resume=runs/x optim.lr=1": "leave out optim.lr=1",
}


@pytest.fixture(autouse=True)
def defaults():
    prepare()


@pytest.mark.parametrize("line", WRONG)
def test_a_wrong_word_is_told_in_one_line_with_its_mend(line: str):
    with pytest.raises(UsageError) as fault:
        check(line.split(), multirun=False)
    text = str(fault.value)
    assert WRONG[line] in text
    assert "\n" not in text
    assert line.split()[-1].split("=")[0].lstrip("+~") in text


@pytest.mark.parametrize(
    "line",
    [
        "",
        "encoder=b3 dataset=cityscapes",
        "encoder=phi encoder.phi=1.5",
        "max_steps=null",
        "loss=dice augment=none",
        "debug=fast loggers=[tensorboard] dataset.on_error=skip",
    ],
)
def test_right_words_pass(line: str):
    check(line.split(), multirun=False)


def test_a_path_with_spaces_and_equal_signs_passes_when_quoted():
    check(["dataset.root='/my data/a=b'"], multirun=False)


@pytest.mark.parametrize("line", ["encoder=b0,b9", "optim.lr=1e-3,abc", "seed=1,-2"])
def test_each_value_of_a_sweep_is_checked_before_the_first_job(line: str):
    with pytest.raises(UsageError):
        check([line], multirun=True)


def test_a_sweep_over_right_values_passes():
    check(["encoder=b0,b1,b2", "seed=1,2"], multirun=True)


def test_the_program_ends_with_2_and_no_traceback_and_leaves_nothing(tmp_path: Path):
    done = subprocess.run(
        [sys.executable, REPOSITORY / "train.py", "lrr=1"],
        cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr == "effunet: lrr=1: unknown key lrr: did you mean optim.lr?\n"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("word", "code"), [("--help", 0), ("--cfg=job", 0), ("lrr=1", 2)])
def test_help_config_and_refusals_come_without_torch(word: str, code: int, tmp_path: Path):
    lines = (
        "import sys; from effunet.cli import main\n"
        "code = main(['train', sys.argv[1]])\n"
        "assert 'torch' not in sys.modules, 'torch was imported'\n"
        "sys.exit(code)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", lines, word], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == code, done.stderr
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_key_in_a_config_file_of_the_users_own_is_refused(tmp_path: Path):
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "mine.yaml").write_text("# @package _global_\noptim:\n  lrr: 1\n")
    with pytest.raises(UsageError, match=r"optim.lrr.*did you mean optim.lr\?"):
        check(["experiment=mine"], multirun=False, config_dir=str(tmp_path))
