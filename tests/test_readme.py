"""What README tells people to type exists and is meant as it is written."""

import re
import shlex
from pathlib import Path

import pytest

from effunet.cli import _parser
from effunet.training.launch import prepare
from effunet.training.overrides import check

REPOSITORY = Path(__file__).resolve().parents[1]
README = (REPOSITORY / "README.md").read_text()
CODE = "\n".join(re.findall(r"```(?:sh|bash)\n(.*?)```", README, re.S))
LINES = [line.split(" #")[0].strip() for line in CODE.splitlines() if line.strip()]


def ending_in(word: str) -> list[list[str]]:
    """The words behind `word` in every command line of README."""
    commands = [part.strip() for line in LINES for part in line.split("&&")]
    return [shlex.split(c)[len(word.split()) :] for c in commands if c.startswith(word)]


@pytest.mark.parametrize("words", ending_in("python train.py"), ids=" ".join)
def test_every_training_line_passes_the_checks(words: list[str]):
    prepare()
    words = [word for word in words if not word.startswith("resume=")]  # no run lies here
    sweep = "-m" in words
    check([word for word in words if word != "-m" and not word.startswith("--")], multirun=sweep)


@pytest.mark.parametrize("words", ending_in("effunet"), ids=" ".join)
def test_every_command_line_parses(words: list[str]):
    assert _parser().parse_args(words).command == words[0]


def test_the_doors_of_a_first_day_are_all_shown():
    assert len(ending_in("python train.py")) >= 5
    assert {words[0] for words in ending_in("effunet")} >= {"evaluate", "predict", "info"}


def test_the_files_that_readme_points_to_exist():
    links = re.findall(r"\]\((?!https?:|#)([^)]+)\)", README)
    assert links
    for link in links:
        assert (REPOSITORY / link.split("#")[0]).exists(), link


def test_the_two_lines_for_a_fresh_machine_differ_in_their_last_step_alone():
    setup = [line for line in LINES if line.startswith("python3 -m venv")]
    assert [line.split("&& ")[-1] for line in setup] == ["python train.py", "pytest"]
