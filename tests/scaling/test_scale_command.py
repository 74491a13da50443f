"""`effunet scale`, as a user calls it."""

import json
import re
import shlex

import pytest

from effunet.cli import main
from effunet.commands.scale import amount
from effunet.model.scaling import compound
from effunet.scaling import fit
from effunet.scaling.costs import Shape, cost_of
from effunet.training.launch import prepare
from effunet.training.overrides import check


def test_the_table_has_every_released_network_and_the_law(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["scale", "table", "--size", "64", "--json"]) == 0
    found = {row["name"]: row for row in json.loads(capsys.readouterr().out)["networks"]}
    assert [*found] == [f"b{n}" for n in range(8)] + [f"phi{phi}" for phi in range(-2, 9)]
    assert found["b0"]["published"]["top1"] == 77.1 and found["phi0"]["published"] is None
    for key in ("widths", "repeats", "classifier", "segmenter"):
        assert found["phi0"][key] == found["b0"][key]


def test_the_table_for_a_person_says_where_law_and_table_part(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["scale", "table", "--size", "64"]) == 0
    said = capsys.readouterr().out
    assert "6.2/7.3/7.0" in said and "66.3 M" in said and "84.3" in said
    assert max(map(len, said.splitlines())) <= 210


def test_the_plan_fits_and_the_next_network_does_not(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--params", "6M", "--macs", "3G", "--size", "256x512"]
    assert main(["scale", "plan", *words]) == 0
    said = capsys.readouterr().out
    assert re.search(r"^parameters +[0-9]", said, re.MULTILINE)
    phi = float(re.findall(r"encoder\.phi=([-0-9.]+)", said)[0])
    shape = Shape("efficient", 19, (256, 512))
    cost = cost_of(compound(phi), shape)
    assert cost.parameters <= 6e6 and cost.macs <= 3e9
    following = float(re.findall(r"next +phi([-0-9.]+) ", said)[0])
    larger = cost_of(compound(following), shape)
    assert following > phi and (larger.parameters > 6e6 or larger.macs > 3e9)


@pytest.mark.parametrize(("kind", "encoder"), [([], "phi"), (["--named"], "b3")])
def test_the_command_of_a_plan_is_one_that_a_training_takes(
    kind: list[str], encoder: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["scale", "plan", "--params", "12M", "--size", "64", *kind]) == 0
    command = capsys.readouterr().out.split("train.py ")[1].splitlines()[0]
    *words, dataset = shlex.split(command)
    assert words[0] == f"encoder={encoder}" and "dataset.crop=[64,64]" in words
    assert dataset == "dataset=NAME"
    prepare()
    check([*words, "dataset=synthetic"], multirun=False)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "needs a budget"),
        (["--params", "10k"], r"nothing fits: the smallest network .* parameters \(10.0 k"),
        (["--macs", "1M", "--named", "--size", "512"], r"encoder=b0\) has .* MACs"),
    ],
)
def test_what_cannot_be_is_told_in_one_line(
    words: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["scale", "plan", *words]) == 2
    err = capsys.readouterr().err
    assert re.search(says, err) and err.count("\n") == 1, err


@pytest.mark.parametrize(
    ("what", "text", "value"),
    [
        ("parameters", "10M", 1e7),
        ("MACs", "4.5G", 4.5e9),
        ("a time", "20ms", 0.02),
        ("a memory", "8GiB", 8 * 2**30),
    ],
)
def test_amounts_are_read_with_their_units(what: str, text: str, value: float) -> None:
    assert amount(what)(text) == pytest.approx(value)


@pytest.mark.parametrize("text", ["10", "x", "0ms", "10M", "nan"])
def test_a_time_without_its_unit_is_refused(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["scale", "plan", "--latency", text])
    assert stop.value.code == 2
    assert "a time like 20ms" in capsys.readouterr().err


def test_a_negative_time_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["scale", "plan", "--latency=-3ms"])
    assert stop.value.code == 2 and "a time like 20ms" in capsys.readouterr().err


@pytest.mark.long
def test_time_and_memory_are_measured_and_decide(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fit, "VARIANTS", ("b0", "b1"))  # a measurement of B7 takes a minute
    words = ["scale", "plan", "--named", "--size", "64", "--batch", "2", "--device", "cpu"]
    assert main([*words, "--latency", "100s", "--memory", "100G"]) == 0
    said = capsys.readouterr().out
    assert "b1" in said and "the largest that there is" in said
    assert main([*words, "--latency", "0.001ms"]) == 2
    assert "nothing fits" in capsys.readouterr().err
