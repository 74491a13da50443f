"""A segmenter's maps: at each feature, of each set of pixels, of images of any size."""

import numpy as np
import pytest
import torch
from beartype.roar import BeartypeCallHintViolation
from tiny_segmenter import LABELS, random_image, tiny_segmenter

from effunet.errors import UsageError
from effunet.explain import METHODS, Explainer, places
from effunet.model.decoders.plan import DecoderPlan
from effunet.model.encoder import EfficientNet
from effunet.model.foreign import SmpNetwork, SmpPlan
from effunet.model.network import EffUNet
from effunet.model.scaling import compound
from effunet.segmenter import Segmenter

IMAGE = random_image(50, 70, 3)  # padded to 64 x 96


def efficient() -> Segmenter:
    torch.manual_seed(1)
    network = EffUNet(
        EfficientNet(compound(-6)), 3, DecoderPlan("efficient", (16, 8, 8), (1, 1, 1))
    )
    return Segmenter(network.eval(), LABELS)


def foreign(architecture: str = "Unet") -> Segmenter:
    torch.manual_seed(2)
    return Segmenter(SmpNetwork(SmpPlan(architecture, "resnet18", 3)).eval(), LABELS)


def everywhere(image: np.ndarray = IMAGE) -> np.ndarray:
    return np.ones(image.shape[:2], bool)


def score(segmenter: Segmenter, image: np.ndarray, index: int, pixels: np.ndarray) -> float:
    batch = torch.from_numpy(image).permute(2, 0, 1)[None]
    with torch.no_grad():
        logits = segmenter.network.eval()(batch)
    return float(logits[0, index][torch.from_numpy(pixels)].mean())


def test_the_named_features_are_those_of_encoder_and_decoder() -> None:
    names = [place.name for place in places(efficient().network)]
    assert names == [
        *(f"encoder/{n}" for n in (2, 4, 8, 16, 32)),
        *(f"decoder/{n}" for n in (16, 8, 4)),
    ]
    names = [place.name for place in places(tiny_segmenter().network)]
    assert names[5:] == [f"decoder/{n}" for n in (16, 8, 4, 2, 1)]
    names = [place.name for place in places(foreign().network)]
    assert names == [*(f"encoder/{n}" for n in (2, 4, 8, 16, 32)), "decoder/1"]


@pytest.mark.parametrize("make", [tiny_segmenter, efficient, foreign])
def test_the_places_of_a_map_are_as_coarse_as_its_layers_name_says(make) -> None:  # type: ignore[no-untyped-def]
    segmenter = make()
    for place in places(segmenter.network):
        reduction = int(place.name.rpartition("/")[2])
        found = Explainer(segmenter, "layer-cam", place.name)(IMAGE, 1, everywhere())
        assert found.coarse.shape == (64 // reduction, 96 // reduction)
        assert found.map.shape == IMAGE.shape[:2]
        assert found.map.min() >= 0 and (found.empty or found.map.max() == 1)


@pytest.mark.parametrize("make", [tiny_segmenter, efficient, foreign])
def test_the_gradient_is_that_of_the_score_by_finite_differences(make) -> None:  # type: ignore[no-untyped-def]
    """HiResCAM's sum is the first-order change of the score when the feature shrinks to nothing."""
    segmenter = make()
    segmenter.network.double()
    explainer = Explainer(segmenter, "hires-cam", "encoder/16")
    pixels = np.zeros(IMAGE.shape[:2], bool)
    pixels[10:30, 20:50] = True
    (gradient,), feature, _ = explainer._gradients(IMAGE, [(2, pixels)])
    # Scale the feature a little, by a hook, and see what the score does.
    place = next(place for place in places(segmenter.network) if place.name == "encoder/16")

    def scaled(factor: float) -> float:
        def hook(_, __, output):  # type: ignore[no-untyped-def]
            if place.item is None:
                return output * factor
            parts = [*output]
            parts[place.item] = parts[place.item] * factor
            return type(output)(parts)

        handle = segmenter.network.get_submodule(place.module).register_forward_hook(hook)
        try:
            return score(segmenter, IMAGE, 2, pixels)
        finally:
            handle.remove()

    step = 1e-5
    change = (scaled(1 + step) - scaled(1 - step)) / (2 * step)
    assert float((gradient * feature).sum()) == pytest.approx(change, rel=1e-4, abs=1e-7)


def test_several_scores_of_one_image_are_each_what_they_are_alone() -> None:
    explainer = Explainer(tiny_segmenter(), "grad-cam", "encoder/8")
    part = np.zeros(IMAGE.shape[:2], bool)
    part[5, 7] = True
    asked = [(0, everywhere()), (1, part), (2, everywhere())]
    for (index, pixels), found in zip(asked, explainer.each(IMAGE, asked), strict=True):
        alone = explainer(IMAGE, index, pixels)
        np.testing.assert_array_equal(found.coarse, alone.coarse)
        assert found.name == LABELS.names[index] and found.pixels is pixels


def test_a_pixel_far_from_a_place_has_nothing_from_it() -> None:
    """Of the last feature of a decoder, behind which there is one small head, alone."""
    explainer = Explainer(efficient(), "layer-cam", "decoder/4")
    pixel = np.zeros(IMAGE.shape[:2], bool)
    pixel[8, 12] = True
    rows, columns = np.nonzero(explainer(IMAGE, 0, pixel).coarse)
    assert len(rows) and abs(rows * 4 - 8).max() <= 8 and abs(columns * 4 - 12).max() <= 8


def test_a_segmenter_is_afterwards_as_it_was_before() -> None:
    segmenter = tiny_segmenter()
    first = next(segmenter.network.parameters())
    first.requires_grad_(False)
    wanted = [weight.requires_grad for weight in segmenter.network.parameters()]
    before = segmenter(IMAGE).probabilities
    Explainer(segmenter)(IMAGE, 1, everywhere())
    assert [weight.requires_grad for weight in segmenter.network.parameters()] == wanted
    assert all(weight.grad is None for weight in segmenter.network.parameters())
    assert not any(module._forward_hooks for module in segmenter.network.modules())
    np.testing.assert_array_equal(segmenter(IMAGE).probabilities, before)


def test_nothing_before_the_feature_is_kept_for_the_way_back() -> None:
    segmenter, sizes = efficient(), []

    def kept(tensor: torch.Tensor) -> torch.Tensor:
        sizes.append(tensor.shape)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(kept, lambda tensor: tensor):
        Explainer(segmenter, "grad-cam", "decoder/4")(IMAGE, 1, everywhere())
    assert sizes
    # Behind the last feature of the decoder there is no layer but the head.
    assert not [size for size in sizes if len(size) == 4 and size[1] > 8 and size[0] == 1]


@pytest.mark.parametrize("architecture", ["Unet", "FPN", "DeepLabV3Plus", "Segformer"])
def test_networks_of_smp_are_explained_at_all_their_features(architecture: str) -> None:
    segmenter = foreign(architecture)
    for place in places(segmenter.network):
        found = Explainer(segmenter, "hires-cam", place.name)(IMAGE, 0, everywhere())
        assert np.isfinite(found.map).all()


def test_any_module_that_gives_a_feature_can_be_named() -> None:
    named = Explainer(tiny_segmenter(), layer="encoder.stages.4.0")(IMAGE, 1, everywhere())
    known = Explainer(tiny_segmenter(), layer="encoder/32")(IMAGE, 1, everywhere())
    np.testing.assert_array_equal(named.coarse, known.coarse)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"method": "grad"}, r"there are grad-cam, grad-cam\+\+, hires-cam, layer-cam"),
        ({"layer": "encoder/33"}, r"did you mean encoder/3?2\?.*there are encoder/2, "),
        ({"layer": "nowhere"}, "no such feature"),
    ],
)
def test_an_unknown_method_or_layer_is_refused_with_the_known_ones(
    options: dict[str, str], said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        Explainer(tiny_segmenter(), **options)


def test_a_module_that_gives_no_feature_is_refused() -> None:
    explainer = Explainer(foreign(), layer="encoder")
    with pytest.raises(UsageError, match="not a feature"):
        explainer(IMAGE, 1, everywhere())


@pytest.mark.parametrize(("index", "shape"), [(3, (50, 70)), (-1, (50, 70)), (0, (50, 71))])
def test_a_class_or_pixels_that_are_not_there_are_refused(
    index: int, shape: tuple[int, int]
) -> None:
    with pytest.raises((ValueError, BeartypeCallHintViolation)):
        Explainer(tiny_segmenter())(IMAGE, index, np.ones(shape, bool))
    with pytest.raises(ValueError, match="at least one pixel"):
        Explainer(tiny_segmenter())(IMAGE, 0, np.zeros((50, 70), bool))


def test_every_method_is_drawn_from_one_gradient() -> None:
    found = {
        name: Explainer(tiny_segmenter(), name, "encoder/8")(IMAGE, 1, everywhere()).coarse
        for name in METHODS
    }
    assert len({array.tobytes() for array in found.values()}) == len(METHODS)
