"""The schema is the whole truth about keys: documented, complete, and equal after a round trip."""

from dataclasses import fields, is_dataclass
from pathlib import Path

import pytest

from effunet.errors import UsageError
from effunet.metrics.rows import SCALARS
from effunet.training.config.document import document
from effunet.training.config.loss_rules import summands
from effunet.training.config.read import known_keys, to_config, to_plain
from effunet.training.config.schema import Config

REPOSITORY = Path(__file__).resolve().parents[3]


def test_the_documentation_of_keys_is_current():
    assert (REPOSITORY / "docs" / "config.md").read_text() == document()


def test_every_key_is_documented_with_its_meaning():
    text = document()
    for name in known_keys():
        assert name in text
    for part in [Config(), *(getattr(Config(), f.name) for f in fields(Config))]:
        for item in fields(part) if is_dataclass(part) else []:
            assert is_dataclass(getattr(part, item.name)) or len(item.metadata["meaning"]) > 4


def test_a_config_is_equal_after_a_round_trip_through_plain_values():
    config = to_config({"optim": {"lr": 0.02}, "max_steps": 7, "augment": {"scale": [0.5, 2]}})
    assert to_config(to_plain(config)) == config
    assert config.augment.scale == [0.5, 2.0]


def test_a_sum_of_losses_is_equal_after_a_round_trip_through_plain_values():
    config = to_config({"loss": {"name": "sum", "terms": ["ohem", "lovasz:0.5"]}})
    assert to_config(to_plain(config)) == config
    assert summands(config.loss) == {"ohem": 1.0, "lovasz": 0.5}


def test_an_error_names_the_file_that_the_values_came_from():
    with pytest.raises(UsageError, match=r"runs/x/config.yaml: unknown key optim.lrr"):
        to_config({"optim": {"lrr": 1}}, "runs/x/config.yaml")


def test_one_image_of_one_cell_a_batch_is_refused_for_batchnorm():
    with pytest.raises(UsageError, match="BatchNorm"):
        to_config({"batch_size": 1, "dataset": {"crop": [32, 32]}})
    to_config({"batch_size": 2, "dataset": {"crop": [32, 32]}})
    to_config({"batch_size": 1, "dataset": {"crop": [32, 33]}})


def test_what_a_run_can_monitor_is_what_a_validation_counts():
    (monitor,) = (field for field in fields(Config) if field.name == "monitor")
    choices = set(monitor.metadata["limits"]["choices"])
    # Left out: where lower is better, and what a dataset may not have.
    left_out = {"ece", "category_miou", "iiou", "category_iiou"}
    assert choices - {"val_loss"} == set(SCALARS) - left_out
