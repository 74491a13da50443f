"""Every word behind `python train.py` is checked before torch is imported; exit 2, one line."""

import subprocess
import sys
from pathlib import Path

import pytest

from effunet.errors import UsageError
from effunet.training.launch import prepare
from effunet.training.overrides import check, plan

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
    "loss=lovas": "lovasz",
    "loss=sum": "needs its terms",
    "loss=sum loss.terms=[]": "needs its terms",
    "loss=sum loss.terms=[ohem,lovas]": "called lovas: did you mean lovasz?",
    "loss=sum loss.terms=[sum]": "called sum",
    "loss=sum loss.terms=[ohem:0]": "ohem:0: a weight is a number over 0",
    "loss=sum loss.terms=[ohem,lovasz:nan]": "lovasz:nan: a weight",
    "loss=sum loss.terms=[ohem:much]": "ohem:much: a weight",
    "loss=sum loss.terms=[ohem:]": "ohem:: a weight",
    "loss=sum loss.terms=[ohem,ohem:2]": "ohem comes twice",
    "loss=sum loss.terms=lovasz:0.5": "loss.terms: ",
    "loss=sum loss.terms={lovasz:0.5}": "loss.terms={lovasz:0.5}",
    "loss=sum loss.terms.ohem=1": "did you mean loss.terms?",
    "loss=focal loss.terms=[ohem]": "loss=sum alone",
    "loss=dice loss.label_smoothing=0.1": "loss=dice has no loss.label_smoothing",
    "loss=focal loss.label_smoothing=0.1": "use loss=cross_entropy or",
    "loss=lovasz loss.class_weights=[1,2]": "loss=lovasz has no loss.class_weights",
    "loss=tversky loss.weighting=enet": "loss=tversky has no loss.weighting",
    "loss=ohem loss.focal_gamma=1": "use loss=focal",
    "loss=sum loss.terms=[dice,lovasz] loss.weighting=enet": "loss=dice+lovasz has no",
    "loss.class_weights=[1,2] loss.weighting=enet": "leave one of them out",
    "loss.weighting=median": "median_frequency",
    "loss.weighting=enet loss.effective_beta=0.9": "effective_number alone",
    "loss=boundary loss.boundary_width=0": "at least 1",
    "dataset.crop=[64]": "[height, width]",
    "dataset.crop=[16,16]": "at least 32",
    "dataset.crop=64": "dataset.crop",
    "augment.scale=[2,1]": "[low, high]",
    "decoder=unet decoder.widths=[1,2]": "decoder unet takes 5 widths, got [1, 2]",
    "decoder.widths=[1,2,3,4,5]": "got [1, 2, 3, 4, 5]; decoder unet takes 5",
    "decoder.repeats=[1,2]": "as many repeats as widths, got [1, 2] for [128, 96, 64]",
    "decoder=unet decoder.repeats=[1,1]": "decoder unet takes no repeats, got [1, 1]",
    "encoder.phi=1": "encoder=phi",
    "encoder.beta=1.2": "encoder.beta goes with encoder=phi alone",
    "dataset=folder": "dataset.root",
    "encoder=b0,b1": "add -m",
    "encoder={a:1}": "one by one",
    "encoder._target_=os.system": "unknown key",
    "seed=[1": "quotes",
    "hydra.foo=1": "hydra.foo",
    "name=a=b": "quotes",
    "optim.lr=1 resume=runs/x": "no runs/x/config.yaml",
    "optim.name=adam": "adamw",
    "optim.schedule=cosin": "did you mean cosine?",
    "optim.momentum=1": "at most",
    "ema=1": "at most 0.99999",
    "accumulate=0": "at least 1",
    "encoder.freeze=1.5": "at most 1",
    "patience=0": "at least 1",
    "max_nonfinite=0": "at least 1",
    "save_every=0": "at least 1",
    "init_from=runs/y resume=runs/x": "no runs/x/config.yaml",
    "network=smpp": "there are effunet, smp",
    "network=smp network.architecture=FPNN": "did you mean FPN?",
    "network=smp network.architecture=null": "network.architecture, one of Unet",
    "network.architecture=FPN": "goes with network=smp",
    "network.encoder=resnet34": "goes with network=smp",
    "network.reset_head=true": "goes with init_from alone",
    "network=smp decoder.widths=[8,8,8]": "leave out decoder.widths=",
    "network=smp decoder=unet": "leave out decoder.name=unet",
    "network=smp encoder.skip=stage1": "leave out encoder.skip=stage1",
    "network=smp encoder.checkpointing=true": "leave out encoder.checkpointing=True",
    "network=smp encoder=phi": "use encoder=b0 to b7, or network.encoder",
    "network=smp network.encoder=resnet34 encoder=b3": "leave out encoder.name=b3",
    "network=smp network.encoder=resnet34 encoder.weights=w": "leave out encoder.weights=w",
    "network=smp network.encoder=resnet34 encoder.drop_path=0.1": "leave out encoder.drop_path=0.1",
    "network=smp network.architecture=UPerNet batch_size=1": "UPerNet's global pooling",
    "init_from=runs/x decoder.widths=[8,8,8,8,8]": "leave out decoder.widths=[8,8,8,8,8]",
    "init_from=runs/x decoder=unet": "leave out decoder=unet",
    "init_from=runs/x encoder.weights=w": "leave out encoder.weights",
    "hydra/launcher=joblob": "did you mean joblib?",
    "hydra.launcher._target_=os.system": "_target_ is never followed",
    "+hydra.callbacks={x:{_target_:os.system}}": "_target_ is never followed",
    "loggers=[tensorbord]": "did you mean tensorboard?",
    "loggers=tensorboard": "loggers",
    "loggers=[csv]": "must be one of tensorboard, wandb, mlflow",
    "debug=overfitt": "did you mean overfit?",
    "debug=true": "must be one of overfit, fast",
    "dataset.on_error=ignore": "must be one of raise, skip",
    "dataset.on_eror=skip": "dataset.on_error",
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
        "loss=sum loss.terms=[cross_entropy,lovasz:0.5] loss.label_smoothing=0.1",
        "loss=sum loss.terms=[focal] loss.weighting=effective_number loss.effective_beta=0.99",
        "loss=boundary loss.class_weights=[1,2]",
        "network=smp encoder=b3 encoder.drop_path=0.1 encoder.weights=w",
        "network=smp network.architecture=Segformer network.encoder=mit_b0 batch_size=1",
        "init_from=runs/x network.reset_head=true",
        "debug=fast loggers=[tensorboard] dataset.on_error=skip",
    ],
)
def test_right_words_pass(line: str):
    check(line.split(), multirun=False)


def test_a_path_with_spaces_and_equal_signs_passes_when_quoted():
    check(["dataset.root='/my data/a=b'"], multirun=False)


@pytest.mark.parametrize(
    "line", ["encoder=b0,b9", "optim.lr=1e-3,abc", "seed=1,-2", "seed=range(2,-2,-1)"]
)
def test_each_value_of_a_sweep_is_checked_before_the_first_job(line: str):
    with pytest.raises(UsageError):
        check([line], multirun=True)


def test_a_sweep_over_right_values_passes():
    check(["encoder=b0,b1,b2", "seed=1,2"], multirun=True)


def test_a_sweep_over_whole_experiments_is_checked_file_by_file(tmp_path: Path):
    (tmp_path / "experiment").mkdir()
    for name, text in {"fine": "optim: {lr: 1}", "wrong": "optim: {lr: -1}"}.items():
        file = tmp_path / "experiment" / f"{name}.yaml"
        file.write_text(f"# @package _global_\n{text}\n")
    words = ["experiment=fine,wrong", "seed=range(1,4)"]
    with pytest.raises(UsageError, match=r"experiment=wrong.*optim\.lr"):
        check(words, multirun=True, config_dir=str(tmp_path))
    check(["experiment=fine", words[1]], multirun=True, config_dir=str(tmp_path))


def test_what_cannot_be_listed_before_the_first_job_is_refused():
    with pytest.raises(UsageError, match=r"optim.lr=interval\(0.1,1\): .* write them"):
        check(["optim.lr=interval(0.1,1)"], multirun=True)


def test_one_name_for_several_jobs_is_refused_before_the_first_takes_it():
    with pytest.raises(UsageError, match=r"name=mine: .* leave it out"):
        check(["name=mine", "seed=1,2"], multirun=True)
    check(["name=one,two"], multirun=True)
    check(["name=mine", "seed=1"], multirun=True)


@pytest.mark.parametrize(
    ("word", "install"),
    [
        ("hydra/launcher=joblib", "pip install 'effunet[joblib]'"),
        ("hydra/launcher=ray", "pip install hydra-ray-launcher"),
        ("hydra/launcher=submitit_slurm", "pip install hydra-submitit-launcher"),
        ("hydra/sweeper=optuna", "pip install hydra-optuna-sweeper"),
    ],
)
def test_a_launcher_that_is_not_installed_is_told_with_what_installs_it(
    word: str, install: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("effunet.training.config.installed.find_spec", lambda name: None)
    with pytest.raises(UsageError) as caught:
        check([word, "seed=1,2"], multirun=True)
    assert str(caught.value) == f"{word}: not installed: {install}"


def test_the_jobs_of_a_sweep_are_known_before_it_starts():
    folder, jobs = plan(["seed=1,2", "encoder=b3", "optim.lr=range(1,3)", "hydra.sweep.dir=x"])
    assert folder == Path("x").absolute()
    assert jobs == [
        [f"seed={seed}", "encoder=b3", f"optim.lr={lr}"] for seed in (1, 2) for lr in (1, 2)
    ]


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
