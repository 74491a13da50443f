"""Maps of one network by the libraries grad-cam and torchcam, run where they are installed.

python peers.py segmenter.safetensors asked.npz found.npz
"""

import sys

import numpy as np
import torch
from pytorch_grad_cam import GradCAM, GradCAMPlusPlus, HiResCAM, LayerCAM
from torch import nn
from torchcam import methods as torchcam

from effunet.segmenter import Segmenter


class Scores(nn.Module):
    """A segmenter as a classifier: each class's mean logit over the pixels."""

    def __init__(self, network: nn.Module, pixels: torch.Tensor) -> None:
        super().__init__()
        self.network, self.pixels = network, pixels

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.network(image)[..., self.pixels].mean(-1)


def main(segmenter: str, asked: str, found: str) -> None:
    given = np.load(asked)
    network = Segmenter.load(segmenter).network.eval()
    model = Scores(network, torch.from_numpy(given["pixels"])).eval()
    image = torch.from_numpy(given["image"]).permute(2, 0, 1)[None].float().requires_grad_()
    layer, index = network.get_submodule(str(given["layer"])), int(given["index"])
    maps: dict[str, np.ndarray] = {}
    for name, kind in (
        ("grad-cam", GradCAM),
        ("grad-cam++", GradCAMPlusPlus),
        ("hires-cam", HiResCAM),
        ("layer-cam", LayerCAM),
    ):
        with kind(model, [layer]) as cam:
            scores = cam.activations_and_grads(image)
            model.zero_grad()
            scores[0, index].backward(retain_graph=True)
            activations = cam.activations_and_grads.activations[0].numpy()
            gradients = cam.activations_and_grads.gradients[0].numpy()
            raw = cam.get_cam_image(image, layer, [index], activations, gradients, False)
            maps[f"{name} of grad-cam"] = np.maximum(raw[0], 0)
    # Not its Grad-CAM++, whose fraction is not that of the article: it sums the feature times the
    # third derivative over all places, where eq. 19 has the derivative of the place itself.
    for name, kind in (("grad-cam", torchcam.GradCAM), ("layer-cam", torchcam.LayerCAM)):
        with kind(model, target_layer=layer) as cam:
            scores = model(image)
            maps[f"{name} of torchcam"] = cam(index, scores, normalized=False)[0][0].numpy()
    np.savez(found, **maps)


if __name__ == "__main__":
    main(*sys.argv[1:])
