"""Our encoder beside timm's and torchvision's: the five features, and a training step, interleaved.

`python benchmarks/encoder.py [b0 b3 ...]` prints one JSON line a variant: best time of the peer
divided by ours, so above 1 means that ours is faster. Both sides have the same numerics, hold the
same weights and compute the same features without the head, which is checked before any timing:
equal numbers of multiply-adds and, up to rounding, equal features. On CUDA where there is one, by
the clock; otherwise in processor time, by default of one thread, so that a busy neighbour counts
for little.
"""

import argparse
import json
import time
from collections.abc import Callable

import timm
import torch
import torchvision
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from effunet.model.encoder import EfficientNet, Numerics

STAGES = (1, 2, 3, 5, 7)  # of torchvision's `features`; 0 is the stem, 8 the head
TOLERANCE = 1e-4  # of a feature's largest value

Features = Callable[[Tensor], list[Tensor]]
Side = tuple[nn.Module, Features]


class StageByStage(nn.Module):
    """The five features of torchvision's EfficientNet, without its head and stochastic depth."""

    def __init__(self, variant: str) -> None:
        super().__init__()
        build = getattr(torchvision.models, f"efficientnet_{variant}")
        self.stages = build(weights=None, stochastic_depth_prob=0.0).features[: STAGES[-1] + 1]

    def forward(self, image: Tensor) -> list[Tensor]:
        """Run the stages one by one, and keep what the last of each reduction gives."""
        feature, pyramid = image, []
        for index, stage in enumerate(self.stages):
            feature = stage(feature)
            if index in STAGES:
                pyramid.append(feature)
        return pyramid


def main() -> None:
    args = _arguments()
    device = torch.device(args.device)
    torch.set_num_threads(args.threads)
    card = torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
    torch.manual_seed(0)
    image = torch.randn(args.batch, 3, args.size, args.size, device=device)
    image = image.contiguous(memory_format=torch.channels_last)
    for variant in args.variants:
        peers = {
            "timm": timm.create_model(f"tf_efficientnet_{variant}", features_only=True),
            "torchvision": StageByStage(variant),
        }
        ratios: dict[str, float] = {}
        for name, peer in peers.items():
            sides = _sides(variant, name, peer, device)
            _check_same_work(sides, image)
            # Steps first: they bring the memory and the running statistics of fresh networks into
            # a common state; a forward pass before them takes a third longer, on both sides.
            for what, seconds in (("step", _step), ("forward", _forward)):
                ours, theirs = _fastest(sides, image, seconds, args.rounds)
                ratios[f"{name}_{what}"] = round(theirs / ours, 3)
                ratios[f"{name}_{what}_ours_ms"] = round(ours * 1e3, 1)
        shape = {"batch": args.batch, "size": args.size, "rounds": args.rounds}
        machine = {"device": card, "threads": torch.get_num_threads()}
        print(json.dumps({"variant": variant, **shape, **machine, **ratios}), flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("variants", nargs="*", default=["b0", "b3"])
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--size", type=int, default=256, help="height and width of the images")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=1, help="of the CPU")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    return parser.parse_args()


def _sides(variant: str, name: str, peer: nn.Module, device: torch.device) -> tuple[Side, Side]:
    """Build ours with the peer's numerics and weights."""
    eps = next(module.eps for module in peer.modules() if isinstance(module, nn.BatchNorm2d))
    numerics = Numerics("same" if name == "timm" else "symmetric", eps)
    ours = EfficientNet(variant, numerics=numerics, drop_path=0.0, skip="stage1")
    # Each network registers its tensors in the order in which it uses them, so that the order
    # pairs them; the features would differ if it did not.
    weights = dict(zip(ours.state_dict(), peer.state_dict().values(), strict=True))
    ours.load_state_dict(weights)
    for network in (ours, peer):
        network.to(device, memory_format=torch.channels_last)
    return (ours, ours.features), (peer, peer)


def _check_same_work(sides: tuple[Side, Side], image: Tensor) -> None:
    """Refuse to compare what differs in multiply-adds or in the features."""
    pyramids, counts = [], []
    for network, features in sides:
        network.eval()
        with torch.inference_mode(), FlopCounterMode(display=False) as counter:
            pyramids.append(features(image))
        counts.append(counter.get_total_flops())
    if counts[0] != counts[1]:
        raise SystemExit(f"not the same work: {counts[0]} operations of ours, {counts[1]} of peer")
    for ours, theirs in zip(*pyramids, strict=True):
        if ours.shape != theirs.shape:
            raise SystemExit(f"not the same features: {ours.shape} of ours, {theirs.shape} of peer")
        error = float((ours - theirs).abs().max() / theirs.abs().max())
        if not error < TOLERANCE:
            raise SystemExit(f"not the same features: they differ by {error:.1e} of the largest")


def _forward(network: nn.Module, features: Features, image: Tensor) -> float:
    network.eval()
    start = _now(image)
    with torch.no_grad():
        features(image)
    return _now(image) - start


def _step(network: nn.Module, features: Features, image: Tensor) -> float:
    network.train().zero_grad(set_to_none=True)
    start = _now(image)
    sum(feature.mean() for feature in features(image)).backward()
    return _now(image) - start


def _now(image: Tensor) -> float:
    if not image.is_cuda:
        return time.process_time()
    torch.cuda.synchronize(image.device)
    return time.perf_counter()


def _fastest(
    sides: tuple[Side, Side],
    image: Tensor,
    seconds: Callable[[nn.Module, Features, Tensor], float],
    rounds: int,
) -> tuple[float, float]:
    """Give the best time of each side; who goes first alternates, and one round warms up."""
    best = [float("inf"), float("inf")]
    for number in range(rounds + 1):
        for index in (0, 1) if number % 2 else (1, 0):
            taken = seconds(*sides[index], image)
            if number > 0:
                best[index] = min(best[index], taken)
    return best[0], best[1]


if __name__ == "__main__":
    main()
