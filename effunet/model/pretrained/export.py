"""Our encoder -> a file in timm's naming, which timm and effunet read."""

import json
from pathlib import Path

from safetensors.torch import save
from torch import Tensor

from effunet import artifact
from effunet.model import facts
from effunet.model.encoder import EfficientNet
from effunet.model.pretrained.dialects import UNUSED_LEAF, timm_modules
from effunet.model.pretrained.weights import OWN_NUMERICS


def to_timm(encoder: EfficientNet) -> dict[str, Tensor]:
    """Give the encoder's tensors under timm's names; counters of batch norms are left out.

    timm runs them as we do under the numerics of its own networks alone: `tf_efficientnet_bX` for
    padding "same" and eps 1e-3, `efficientnet_bX` for "symmetric" and 1e-5.
    """
    modules = timm_modules(encoder.plan)
    named: dict[str, Tensor] = {}
    for name, tensor in encoder.state_dict().items():
        module, _, leaf = name.rpartition(".")
        if leaf != UNUSED_LEAF:
            named[f"{modules[module]}.{leaf}"] = tensor.detach().cpu().contiguous()
    return named


def save_timm(encoder: EfficientNet, path: str | Path) -> None:
    """Write `to_timm` with the numerics in the file's metadata, whole or not at all."""
    naming = "timm tf_efficientnet" if encoder.numerics.eps == 1e-3 else "timm efficientnet"
    numerics = json.dumps(facts.write(encoder.numerics), sort_keys=True)
    metadata = {"naming": naming, OWN_NUMERICS: numerics}
    artifact.write(Path(path), save(to_timm(encoder), metadata))
