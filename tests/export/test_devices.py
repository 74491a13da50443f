"""Files of one size, for phones and small boards; each where its converter is installed."""

import json
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from tiny_segmenter import random_image, tiny_segmenter

from effunet.errors import ModelError
from effunet.export.export import proved
from effunet.export.formats import FORMATS
from effunet.export.proof import as_batch

FIXED = [name for name, format in FORMATS.items() if format.fixed]


@pytest.mark.filterwarnings("default")  # the converters' own insides are full of them
@pytest.mark.parametrize("output", ["logits", "mask"])
@pytest.mark.parametrize("name", FIXED)
def test_a_file_of_one_size_answers_as_the_segmenter_and_says_what_it_is(
    name: str, output: str, tmp_path: Path
) -> None:
    format = FORMATS[name]
    if find_spec(format.needs["fp32"][0]) is None:
        pytest.skip(f"pip install 'effunet[{format.extra}]'")
    segmenter, image = tiny_segmenter(), random_image(45, 70, 3)
    options = {"output": output, "size": (45, 70)}
    with proved(segmenter, format, tmp_path, **options) as export:
        found = export.predictor()
        with pytest.raises(ModelError, match="45 x 70 pixels alone, and one here has 70 x 45"):
            found.probabilities(random_image(70, 45, 3))
        files = export.hand_over(tmp_path / f"model{format.endings[0]}")
    assert [file.name for file in files] == [f"model{ending}" for ending in format.endings]
    facts = json.loads(files[1].read_text())
    assert facts["size"] == [45, 70] and facts["output"] == output and facts["proof"]
    answer = format.run(files[0])(as_batch(image))
    mask = answer[0] if output == "mask" else answer[0].argmax(0)
    assert (mask == segmenter(image).mask).mean() > 0.999
    again = format.run(files[0])(as_batch(image))
    assert np.array_equal(answer, again)
