"""`effunet scale search`, as a user calls it: a whole search of tiny trainings."""

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from dataset_trees import plain_folder
from PIL import Image
from tiny_training import Stop, draw_no_curves, stop_at

from effunet.cli import main
from effunet.commands.scale.search.base import Base
from effunet.model import scaling
from effunet.model.scaling import BASELINE, compound
from effunet.pictures.search import picture
from effunet.scaling.laws import Law
from effunet.segmenter import Segmenter
from effunet.training.run import Run

TRAINING = (
    *("dataset=folder", "dataset.root=data", "dataset.crop=[64,64]", "augment=light"),
    *("batch_size=2", "num_workers=0", "max_steps=1", "decoder.widths=[8]"),
)
SEARCH = ("search.candidates=2", "search.step=0.4", "search.phis=[1.5]")
"""Of steps of 0.4 two laws keep to the budget: 1.4 in width, or in resolution, and nothing else."""

TINY = tuple(dataclasses.replace(stage, width=8, repeats=1, expansion=1) for stage in BASELINE)
"""A baseline that trains in a moment, and grows by the same law."""


def search(*words: str) -> int:
    return main(["scale", "search", *TRAINING, *SEARCH, *words])


def result(folder: str) -> dict[str, Any]:
    return json.loads(Path("runs", folder, "search-result.json").read_text())


def scores(found: dict[str, Any]) -> dict[str, list[float]]:
    """Each line by what was trained, without the names of runs."""
    return {
        f"{title} {line['alpha']} {line['beta']} {line['gamma']} {line['phi']}": [
            *line["runs"].values()
        ]
        for title, lines in found["groups"].items()
        for line in lines
    }


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A working folder with data/ and two finished searches, runs/whole and runs/wide."""
    home = tmp_path_factory.mktemp("home")
    plain_folder(home / "data")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        patch.setattr(scaling, "BASELINE", TINY)
        draw_no_curves(patch)
        assert search("search.name=whole") == 0
        assert search("search.name=wide", "search.others=true", "search.seeds=[0]") == 0
        yield home


def test_each_candidate_is_trained_with_its_law_its_crop_and_every_seed(home: Path) -> None:
    zero, *first = result("whole")["groups"]["step one: phi 1"]
    assert zero["phi"] == 0 and zero["crop"] == [64, 64]
    laws = {(line["alpha"], line["beta"], line["gamma"]): line for line in first}
    assert {*laws} == {(1.0, 1.4, 1.0), (1.0, 1.0, 1.4)}
    assert laws[1.0, 1.4, 1.0]["crop"] == [64, 64]
    assert laws[1.0, 1.0, 1.4]["crop"] == [96, 96]  # 89.6 to a multiple of 32
    for (alpha, beta, gamma), line in laws.items():
        assert len(line["runs"]) == 2
        for seed, (run, miou) in enumerate(line["runs"].items()):
            trained = Segmenter.load(Path("runs", run))
            assert trained.network.plan.encoder == compound(1, alpha, beta, gamma)
            assert trained.metadata["parameters"] == line["parameters"]
            metrics = json.loads(Path("runs", run, "metrics.json").read_text())
            assert metrics["miou"] == miou
            config = Path("runs", run, "config.yaml").read_text()
            assert f"\nseed: {seed}\n" in config


def test_the_multiply_adds_are_those_of_the_trained_network(home: Path) -> None:
    for lines in result("wide")["groups"].values():
        for line in lines:
            for run in line["runs"]:
                macs = Segmenter.load(Path("runs", run)).metadata["macs"]
                assert [macs["height"], macs["width"]] == line["crop"]
                assert macs["value"] == line["macs"]


def test_step_two_keeps_the_best_constants_and_raises_phi(home: Path) -> None:
    found = result("whole")
    best = found["verdict"]["best"]
    _, first, second = found["groups"]["the best constants"]
    for key, value in best.items():
        assert first[key] == second[key] == value
    assert (first["phi"], second["phi"]) == (1, 1.5)
    means = [line["miou"] for line in found["groups"]["step one: phi 1"][1:]]
    assert first["miou"] == max(means)


def test_the_others_have_about_the_multiply_adds_of_the_best(home: Path) -> None:
    groups = result("wide")["groups"]
    targets = [line["macs"] for line in groups["the best constants"]]
    titles = ("the article's constants", "depth alone", "width alone", "resolution alone")
    assert {*groups} == {"step one: phi 1", "the best constants", *titles}
    for title in titles:
        near = [
            min(targets, key=lambda target: abs(target - line["macs"])) for line in groups[title]
        ]
        assert [line["macs"] for line in groups[title]] == pytest.approx(near, rel=0.35)
    for title, free in (("depth alone", "alpha"), ("width alone", "beta")):
        for line in groups[title][1:]:
            assert {line[key] for key in ("alpha", "beta", "gamma") if key != free} == {1.0}


def test_a_law_is_met_at_any_cost_that_its_deepest_network_has(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stage has at most 1000 blocks, which depth alone comes to before the largest phi."""
    depth = Law(2.0, 1.0, 1.0)
    monkeypatch.setattr(
        Base, "macs", lambda _, trial: sum(s.repeats for s in trial.law.plan(trial.phi).stages)
    )
    base = Base.of([*TRAINING])
    for times in (2, 16, 600, 10**9):
        found = base.nearest(depth, len(TINY) * times)
        # A step of phi is one of 0.7 % here.
        assert base.macs(found) == pytest.approx(len(TINY) * min(times, 1000), rel=0.005)
    with pytest.raises(ValueError, match="repeats"):
        depth.plan(12)


def test_the_same_command_again_trains_nothing_and_finds_the_same(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = result("whole")
    monkeypatch.setattr(Run, "fit", lambda *_: pytest.fail("trained again"))
    assert search("search.name=whole") == 0
    assert result("whole") == before


def test_more_seeds_add_their_trainings_and_leave_the_others(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = result("wide")["groups"]["step one: phi 1"]
    words = ("search.name=wide", "search.phis=[]", "search.seeds=[0,3]")
    assert search(*words) == 0
    for old, new in zip(before, result("wide")["groups"]["step one: phi 1"], strict=True):
        assert len(old["runs"]) == 1 and len(new["runs"]) == 2
        assert new["runs"] | old["runs"] == new["runs"]


def test_a_search_that_is_stopped_goes_on_and_ends_as_one_that_was_not(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("search.name=cut",)
    with monkeypatch.context() as patch:
        stop_at(patch, "on_train_start", 3, KeyboardInterrupt)
        assert search(*words) == 130
    assert "the same command goes on with runs/cut" in capsys.readouterr().err
    done = [*Path("runs").glob("cut-*/metrics.json")]
    assert len(done) == 2 and not Path("runs/cut/search-result.json").exists()
    begun = {path.parent: path.stat().st_mtime_ns for path in done}
    assert search(*words) == 0
    assert scores(result("cut")) == scores(result("whole"))
    assert all((run / "metrics.json").stat().st_mtime_ns == time for run, time in begun.items())


def test_a_candidate_that_fails_is_said_and_left_out(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("search.name=hurt", "search.seeds=[0]", "search.phis=[]")
    with monkeypatch.context() as patch:
        stop_at(patch, "on_train_start", 2, Stop)
        assert search(*words) == 1
    said = capsys.readouterr().out
    assert "failed" in said and "undecided: fewer than two candidates have a score" in said
    assert search(*words) == 0
    assert "but one seed says nothing of chance" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["search.name=whole", "max_steps=2"], "of other words (max_steps=2): give the same"),
        (["search.budgt=2"], "unknown key search.budgt: did you mean search.budget?"),
        (["search.budget=1"], "search.budget must be more than 1.0, got 1.0"),
        (["search.budget=two"], "search.budget: "),
        (["search.tolerance=0.001"], "use a smaller search.step"),
        (["search.macs_tolerance=0.001"], "of 2 candidates 0 is left"),
        (["search.seeds=[1,1]"], "names one twice"),
        (["search.seeds=[]"], "name one at least"),
        (["search.name=a/b"], "use letters, digits"),
        (["encoder=b3"], "the search says which encoders are trained"),
        (["encoder.weights=imagenet"], "no weights fit a scaled network"),
        (["network=smp", "network.architecture=Unet", "decoder.widths=null"], "network=smp"),
        (["seed=3"], "use search.seeds=[0,1]"),
        (["max_stepz=3"], "did you mean max_steps?"),
        (["dataset.root=nowhere"], "nowhere"),
        (["search.step"], "cannot be read as key=value"),
    ],
)
def test_what_cannot_be_searched_is_one_line_and_makes_nothing(
    words: list[str], said: str, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(Path("runs").iterdir())
    assert search(*words) in (2, 3)
    told = capsys.readouterr().err
    assert said in told and told.count("\n") == 1
    assert sorted(Path("runs").iterdir()) == before


def test_the_picture_is_drawn_of_a_result_with_and_without_step_two(home: Path) -> None:
    found = result("whole")
    found["groups"] = dict([*found["groups"].items()][:1])
    Path("one.png").write_bytes(picture(found))
    with Image.open("runs/whole/search.png") as both, Image.open("one.png") as one:
        assert both.width == 2 * one.width
