import pytest
from tiny_segmenter import LABELS, tiny_segmenter

from effunet import allocator
from effunet.commands.way import keep_blocks_for
from effunet.model.foreign import SmpNetwork, SmpPlan
from effunet.segmenter import Segmenter


def test_large_blocks_are_kept_for_networks_of_smp_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bool] = []
    monkeypatch.setattr(allocator, "keep_large_blocks", lambda: asked.append(True))
    keep_blocks_for(tiny_segmenter())
    assert not asked
    network = SmpNetwork(SmpPlan("PSPNet", "tu-mobilenetv3_small_050", 3)).eval()
    keep_blocks_for(Segmenter(network, LABELS))
    assert asked == [True]
    keep_blocks_for(Segmenter(network.to("meta"), LABELS))
    assert asked == [True]
