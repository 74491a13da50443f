"""Segmenters side by side: differences with paired intervals, and the spread over seeds."""

import statistics

import numpy as np
import pytest
from evaluation_data import Blocks
from hypothesis import given
from hypothesis import strategies as st
from tiny_segmenter import tiny_segmenter

from effunet.artifact import inspect
from effunet.commands.evaluate.seeds import names_of, seeds_of
from effunet.errors import DataError
from effunet.evaluation.compare import Comparison
from effunet.evaluation.evaluate import evaluate


@pytest.fixture(scope="module")
def reports():
    return [evaluate(tiny_segmenter(seed), Blocks(), resamples=200) for seed in (0, 1, 0)]


def test_a_segmenter_differs_from_itself_by_exactly_nothing(reports):
    (same,) = Comparison(("a", "c"), (reports[0], reports[2])).to_plain()["differences"]
    assert same["miou"] == {"difference": 0.0, "interval": [0.0, 0.0]}
    assert all(entry["difference"] == 0 for entry in same["classes"] if entry["interval"])


def test_a_difference_is_that_of_the_scores_and_lies_in_its_interval(reports):
    first, second, _ = (report.to_plain() for report in reports)
    (found,) = Comparison(("a", "b"), tuple(reports[:2])).to_plain()["differences"]
    assert (found["name"], found["to"]) == ("b", "a")
    assert found["miou"]["difference"] == pytest.approx(second["miou"] - first["miou"], abs=1e-12)
    low, high = found["miou"]["interval"]
    assert low < found["miou"]["difference"] < high
    for ours, theirs, entry in zip(
        first["classes"], second["classes"], found["classes"], strict=True
    ):
        assert entry["difference"] == pytest.approx(theirs["iou"] - ours["iou"], abs=1e-12)


def test_the_spread_over_seeds_is_mean_and_standard_deviation(reports):
    comparison = Comparison(("a", "b", "c"), tuple(reports), ((0, 1),))
    (spread,) = comparison.to_plain()["seeds"]
    values = [report.scores.miou for report in reports[:2]]
    assert spread["runs"] == ["a", "b"]
    assert spread["miou"]["values"] == pytest.approx(values)
    assert spread["miou"]["mean"] == pytest.approx(statistics.fmean(values))
    assert spread["miou"]["std"] == pytest.approx(statistics.stdev(values))
    assert "2 seeds of one config (a, b)" in comparison.seed_lines()[0]


def test_other_images_are_no_comparison(reports):
    fewer = evaluate(tiny_segmenter(), Blocks(broken=2), strict=False, resamples=0)
    with pytest.raises(DataError, match="not the same images"):
        Comparison(("a", "b"), (reports[0], fewer))


def test_runs_that_differ_in_the_seed_alone_are_found_by_their_configs(tmp_path):
    for name, seed, rate in (("a", 1, 0.1), ("b", 2, 0.1), ("c", 2, 0.2), ("d", 2, 0.1)):
        folder = tmp_path / name
        folder.mkdir()
        tiny_segmenter().save(folder / "segmenter.safetensors")
        text = f"optim: {{lr: {rate}}}\nseed: {seed}\nname: {name}\n"
        (folder / "config.yaml").write_text(text)
    tiny_segmenter().save(tmp_path / "alone.safetensors")
    models = [*(str(tmp_path / name) for name in "abcd"), str(tmp_path / "alone.safetensors")]
    # One of each seed, for a run that is named twice says nothing of another seed.
    assert seeds_of([inspect(model) for model in models]) == ((0, 1),)
    copy = tmp_path / "a" / "calibrated.safetensors"
    copy.write_bytes((tmp_path / "a" / "segmenter.safetensors").read_bytes())
    assert seeds_of([inspect(copy), inspect(models[1])]) == ()
    assert seeds_of([inspect(models[2]), inspect(models[4])]) == ()


def test_names_are_short_unique_and_the_runs_own(tmp_path):
    for run in ("one/x", "two/x", "y"):
        (tmp_path / run).mkdir(parents=True)
        (tmp_path / run / "segmenter.safetensors").touch()
    words = [
        str(tmp_path / "one/x/segmenter.safetensors"),
        str(tmp_path / "two/x"),
        str(tmp_path / "y"),
        "z.safetensors",
    ]
    assert names_of(words) == ("x-1", "x-2", "y", "z")


@given(st.lists(st.sampled_from(["a", "A", "a-1", "a-2", "b.v2", "b", "b-1"]), max_size=8))
def test_no_two_names_are_one_folder_on_any_machine(words):
    names = names_of([f"{word}.safetensors" for word in words])
    assert len({name.casefold() for name in names}) == len(words)


def test_intervals_are_the_same_each_time_and_none_where_none_were_asked(reports):
    again = evaluate(tiny_segmenter(0), Blocks(), resamples=200)
    assert np.array_equal(again.intervals, reports[0].intervals, equal_nan=True)
    assert evaluate(tiny_segmenter(), Blocks(), resamples=0).intervals is None
