"""The two kinds of network behind one contract: our own EffUNet, and those of smp.

Both take raw images of any size and give logits at that size; `plan` decides all but the weights,
`encoder`, `decoder` and `head` are their parts, `macs(height, width)` their cost.
"""

from typing import cast

from effunet.model.foreign import SmpNetwork, SmpPlan
from effunet.model.network import EffUNet, NetworkPlan

Network = EffUNet | SmpNetwork
AnyPlan = NetworkPlan | SmpPlan


def plan_of(plain: object, where: str = "network") -> AnyPlan:
    """Read the plan that a segmenter file stores; `kind` marks all but EffUNet's.

    Raises:
        ModelError: names place, rule and value of what is wrong.
    """
    if isinstance(plain, dict) and cast("dict[str, object]", plain).get("kind") == "smp":
        return SmpPlan.from_plain(plain, where)
    return NetworkPlan.from_plain(plain, where)


def build(plan: AnyPlan, *, drop_path: float | None = None, checkpointing: bool = False) -> Network:
    """Build the network that a plan describes, with fresh weights.

    Args:
        plan: of either kind.
        drop_path: stochastic depth in training; None: the network's own default.
        checkpointing: of EffUNet alone.

    Raises:
        UsageError: smp cannot build it.
    """
    if isinstance(plan, SmpPlan):
        return SmpNetwork(plan, drop_path=drop_path)
    options = {} if drop_path is None else {"drop_path": drop_path}
    return EffUNet.from_plan(plan, checkpointing=checkpointing, **options)
