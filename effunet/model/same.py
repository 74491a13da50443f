"""TensorFlow's SAME padding: a strided convolution whose output has ceil(size / stride)."""

import torch.nn.functional as F
from torch import nn

from effunet.tensors import Feature, Result


class StridedSameConv(nn.Conv2d):
    """A convolution that pads as TensorFlow's SAME: to ceil(size / stride), the odd pixel last.

    Only for strides above 1; at stride 1 with an odd kernel SAME is plain symmetric padding. With
    `native`, every input is padded as one of that height and width is.
    """

    native: int | None = None

    def forward(self, input: Feature) -> Result:
        """Pad by what this very size needs, then convolve."""
        return super().forward(F.pad(input, self.extra(*input.shape[-2:])))

    def extra(self, height: int, width: int) -> tuple[int, int, int, int]:
        """Rows and columns to add to a feature of this size: left, right, above, below."""
        (kernel_h, kernel_w), (stride_h, stride_w) = self.kernel_size, self.stride
        if self.native is not None:
            height = width = self.native
        # Never negative, because no kernel here is smaller than its stride; plain arithmetic on the
        # shape (no max, no branch), so that an export keeps it for every size.
        vertical = kernel_h - stride_h + -height % stride_h
        horizontal = kernel_w - stride_w + -width % stride_w
        top, left = vertical // 2, horizontal // 2
        return left, horizontal - left, top, vertical - top
