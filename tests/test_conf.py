"""Every file of conf/ composes into a config that passes its checks."""

from pathlib import Path

import pytest

from effunet.training.launch import prepare
from effunet.training.overrides import check, conf_folder

FILES = sorted(conf_folder().glob("*/*.yaml"))
NEEDED = {
    "dataset=folder": ["dataset.root=somewhere"],
    "loss=sum": ["loss.terms=[cross_entropy,lovasz:0.5]"],
}
"""What an option cannot do without."""


@pytest.mark.parametrize("file", FILES, ids=[f"{f.parent.name}={f.stem}" for f in FILES])
def test_every_option_of_every_group_composes(file: Path):
    prepare()
    words = [f"{file.parent.name}={file.stem}"]
    check([*words, *NEEDED.get(words[0], [])], multirun=False)


def test_conf_holds_what_the_doors_promise():
    names = {f"{file.parent.name}={file.stem}" for file in FILES}
    assert names >= {f"encoder=b{n}" for n in range(8)} | {"encoder=phi"}
    assert names >= {"network=effunet", "network=smp"}
    assert names >= {f"dataset={n}" for n in ("synthetic", "camvid", "cityscapes", "folder")}
