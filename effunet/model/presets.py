"""Words for weights on the Hugging Face hub -> the exact file that is meant by each.

Revisions: those that segmentation_models_pytorch 0.6 pins in its encoders/efficientnet.py and
encoders/timm_efficientnet.py. None of these files could be fetched while this was built, so none
has been tried: `tried` says of each whether it has.
"""

from dataclasses import dataclass

from effunet.errors import ModelError

LICENCE = "Apache-2.0"
"""Google released these weights under it; the repositories' own field says "other"."""

FILE = "model.safetensors"


@dataclass(frozen=True)
class Preset:
    """One file of weights on the hub."""

    repository: str
    revision: str  # a whole commit: what it names never changes
    file: str
    licence: str
    numerics: str  # one of lineages.LINEAGES
    tried: bool  # fetched and compared by us


SOURCES = {
    "imagenet": (
        "smp-hub/efficientnet-{variant}.imagenet",
        "lukemelas",
        {
            "b0": "1bbe7ecc1d5ea1d2058de1a2db063b8701aff314",
            "b1": "5d637466a5215de300a8ccb13a39357df2df2bf4",
            "b2": "a96d4f0295ffbae18ebba173bf7f3c0c8f21990e",
            "b3": "074c54a6c473e0d294690d49cedb6cf463e7127d",
            "b4": "05cd5dde5dab658f00c463f9b9aa0ced76784f40",
            "b5": "69f4d28460a4e421b7860bc26ee7d832e03e01ca",
            "b6": "8570752016f7c62ae149cffa058550fe44e21c8b",
            "b7": "5a5dbe687d612ebc3dca248274fd1191111deda6",
        },
    ),
    "noisy-student": (  # timm's tf_efficientnet_bX_ns: SAME padding and eps 1e-3
        "smp-hub/timm-efficientnet-{variant}.noisy-student",
        "tf",
        {
            "b0": "bea8b0ff726a50e48774d2d360c5fb1ac4815836",
            "b1": "36856124a699f6032574ceeefab02040daa90a9a",
            "b2": "67c558827c6d3e0975ff9b4bce8557bc2ca80931",
            "b3": "2367bc9f61e79ee97684169a71a87db280bcf4db",
            "b4": "faeb77b6e8292a700380c840d39442d7ce4d6443",
            "b5": "9bc3a1e5490de92b1af061d5c2c474ab3129e38c",
            "b6": "9b899ea9e8e0ce2ccada0f34a8cb8b5028e9bb36",
            "b7": "6b1dd73e61bf934d485d7bd4381dc3e2ab374664",
        },
    ),
    "advprop": (
        "smp-hub/efficientnet-{variant}.advprop",
        "lukemelas-advprop",
        {
            "b0": "29043c08140d9c6ee7de1468d55923f2b06bcec2",
            "b1": "2e518b8b0955bbab467f50525578dab6b6086afc",
            "b2": "be788c20dfb0bbe83b4c439f9cfe0dd937c0783e",
            "b3": "9ccc166d87bd9c08d6bed4477638c7f4bb3eec78",
            "b4": "f04caa809ea4eb08ee9e7fd555f5514ebe2a9ef5",
            "b5": "dabe78fc8ab7ce93ddc2bb156b01db227caede88",
            "b6": "c2dbb4d1359151165ec7b96cfe54a9cac2142a31",
            "b7": "ce33edb4e80c0cde268f098ae2299e23f615577d",
        },
    ),
}
"""Name -> repository, numerics, and the revision for each variant."""

PRESETS: dict[tuple[str, str], Preset] = {
    (variant, name): Preset(
        repository.format(variant=variant), revision, FILE, LICENCE, numerics, tried=False
    )
    for name, (repository, numerics, revisions) in SOURCES.items()
    for variant, revision in revisions.items()
}


def names() -> tuple[str, ...]:
    """List the words that name a preset."""
    return tuple(SOURCES)


def preset(variant: str, name: str) -> Preset:
    """Look up the weights that a word means for a variant.

    Raises:
        ModelError: there are none; says what there is.
    """
    found = PRESETS.get((variant, name))
    if found is None:
        variants = ", ".join(dict.fromkeys(known for known, _ in PRESETS))
        raise ModelError(
            f"no weights {name!r} for the encoder {variant!r}: there are "
            f"{', '.join(names())} for {variants}"
        )
    return found
