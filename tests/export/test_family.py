"""The whole family, B0 to B7 with both decoders, in every format; half an hour, run by hand."""

from pathlib import Path

import pytest
import torch
from test_graph import VARIANTS, lively

from effunet.export.export import proved
from effunet.export.formats import FORMATS
from effunet.labels import LabelClass, LabelMap
from effunet.model.encoder import EfficientNet
from effunet.model.network import EffUNet
from effunet.segmenter import Segmenter

pytestmark = [pytest.mark.long, pytest.mark.slow]

FIVE = LabelMap(
    tuple(LabelClass(name, (place, 0, 0), (place,)) for place, name in enumerate("abcde"))
)


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("decoder", ["efficient", "unet"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_every_variant_and_decoder_is_exported_in_every_format_and_proved(
    variant: str, decoder: str, format: str, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    network = EffUNet(EfficientNet(variant), classes=len(FIVE), decoder=decoder)
    with proved(Segmenter(lively(network), FIVE), FORMATS[format], tmp_path) as export:
        assert export.proof is not None and export.proof.agreement > 0.9999
        files = export.hand_over(tmp_path / f"model{FORMATS[format].endings[0]}")
    assert all(file.stat().st_size > 0 for file in files)
