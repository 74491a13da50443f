"""What leaves the house: raw images in; logits, probabilities or masks out."""

from copy import deepcopy
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from effunet.calibration import Calibration
from effunet.export.standard import StandardEffUNet
from effunet.export.unet import Doubling
from effunet.model.kinds import Network
from effunet.model.network import EffUNet
from effunet.tensors import Image, Logits

Output = Literal["logits", "probabilities", "mask"]
OUTPUTS: tuple[Output, ...] = get_args(Output)


class Graph(nn.Module):
    """A network of standard layers, and what is made of its logits.

    Takes uint8 images B C H W. Gives logits B K H W; probabilities B K H W, of the calibration's
    temperature; or masks B H W, uint8, of the class indices that are named.
    """

    def __init__(
        self,
        network: Network,
        output: Output = "logits",
        calibration: Calibration | None = None,
        *,
        doubling: Doubling = "concatenated",
    ) -> None:
        """Take copies of the weights as they are.

        Args:
            network: trained, of float32, on the CPU.
            output: what the graph gives.
            calibration: the segmenter's; None: the neutral one.
            doubling: as StandardEffUNet says.
        """
        super().__init__()
        self.channels = network.plan.channels
        self.output, self.calibration = output, calibration or Calibration()
        if isinstance(network, EffUNet):
            self.body = StandardEffUNet(network, doubling=doubling)
        else:
            self.body = deepcopy(network)
        self.eval().requires_grad_(False)

    def forward(self, image: Image) -> Tensor:
        """Score or name every pixel."""
        logits: Logits = self.body(image)
        threshold, temperature = self.calibration.threshold, self.calibration.temperature
        if self.output == "logits":
            return logits
        if self.output == "mask" and threshold is None:
            return logits.argmax(1).to(torch.uint8)
        probabilities = (logits if temperature == 1 else logits / temperature).softmax(1)
        if self.output == "probabilities" or threshold is None:
            return probabilities
        return (probabilities[:, 1] >= threshold).to(torch.uint8)
