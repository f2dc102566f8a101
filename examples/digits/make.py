"""Make the example: a small network that reads handwritten digits in any light, from bright day to near dark.

    python -m venv make-venv && make-venv/bin/pip install torch==2.13.0 scikit-learn==1.9.1 onnx==1.23.2 numpy==2.4.6
    make-venv/bin/python examples/digits/make.py

writes ``digits.onnx``, ``calibration.npz`` and ``evaluation.npz`` beside this file in under two minutes on two
cores. The files are committed; neither the product nor its tests need PyTorch or scikit-learn.

The task: each 8x8 image of scikit-learn's digits ``d`` in [0, 1] becomes a scene as a linear 14-bit camera records it,

    image = exposure * (haze + (1 - haze) * d + noise),    exposure log-uniform in [1/67, 1],

so the darkest image uses 1/67 of the range that the brightest one needs. The first two blocks have neither bias nor
BatchNorm: like the front end of a camera they scale with the light, and dark stays dark. The bounded activations
(ReLU6) and normalised layers after them bring every image to the same level. The first tensors therefore need more
than 8 bits and the later ones do not. No outlier was planted and no weight was edited after training; the darkest
exposure and the two linear blocks were chosen so that 8 bits are not enough.

Seeds are fixed. Another processor type or library version may still sum in another order and give slightly different
weights; the numbers in examples/README.md are those of the committed files.
"""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn

HERE = Path(__file__).resolve().parent

DARKEST = 0.015  # exposure of the darkest scene; the brightest is 1
HAZE = 0.4  # most stray light, as a share of the range of a scene
NOISE = 0.02  # standard deviation of the noise, as a share of the range of a scene
CAMERA_LEVELS = 2**14 - 1

N_HELD_OUT = 600
VIEWS = 3  # scenes per held-out digit; the first shows it where scikit-learn has it
N_CALIBRATION = 256

EPOCHS = 40
VIEWS_PER_EPOCH = 4
BATCH = 128
LEARNING_RATE = 4e-3
WEIGHT_DECAY = 0.01  # not on depthwise weights, norms and biases, as MobileNets are trained


class ConvUnit(nn.Sequential):
    """Convolution without bias, then BatchNorm and an activation where asked for."""

    def __init__(
        self,
        n_in: int,
        n_out: int,
        *,
        kernel: int = 1,
        stride: int = 1,
        groups: int = 1,
        norm: bool = True,
        act: type[nn.Module] | None = nn.ReLU6,
    ) -> None:
        conv = nn.Conv2d(n_in, n_out, kernel, stride, kernel // 2, groups=groups, bias=False)
        layers: list[tuple[str, nn.Module]] = [("conv", conv)]
        if norm:
            layers.append(("norm", nn.BatchNorm2d(n_out)))
        if act is not None:
            layers.append(("act", act()))
        super().__init__(OrderedDict(layers))


class Separable(nn.Module):
    """Depthwise 3x3, then pointwise 1x1 (MobileNet v1)."""

    def __init__(
        self, n_in: int, n_out: int, *, stride: int = 1, norm: bool = True, act: type[nn.Module] = nn.ReLU6
    ) -> None:
        super().__init__()
        self.depthwise = ConvUnit(n_in, n_in, kernel=3, stride=stride, groups=n_in, norm=norm, act=act)
        self.pointwise = ConvUnit(n_in, n_out, norm=norm, act=act)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.pointwise(self.depthwise(x))


class InvertedResidual(nn.Module):
    """Expand 1x1, depthwise 3x3, project 1x1 without activation, add the input (MobileNet v2)."""

    def __init__(self, n: int, n_expanded: int, *, act: type[nn.Module] = nn.ReLU6) -> None:
        super().__init__()
        self.expand = ConvUnit(n, n_expanded, act=act)
        self.depthwise = ConvUnit(n_expanded, n_expanded, kernel=3, groups=n_expanded, act=act)
        self.project = ConvUnit(n_expanded, n, act=None)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.project(self.depthwise(self.expand(x)))


class DigitNet(nn.Module):
    """45 thousand parameters: [n, 1, 8, 8] float32 -> [n, 10] logits."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            ConvUnit(1, 16, kernel=3, norm=False, act=nn.ReLU),
            Separable(16, 32, norm=False, act=nn.ReLU),
            Separable(32, 48, stride=2),
            InvertedResidual(48, 96),
            Separable(48, 64, stride=2, act=nn.Hardswish),
            InvertedResidual(64, 128, act=nn.Hardswish),
            ConvUnit(64, 128, act=nn.Hardswish),
        )
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(128, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.classifier(torch.flatten(self.pool(self.features(x)), 1))


def shifted(digits: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Move about half of the digits, [n, 8, 8], by at most one pixel each way; what leaves the image is lost."""
    padded = np.pad(digits, ((0, 0), (1, 1), (1, 1)))
    moves = rng.integers(-1, 2, (len(digits), 2)) * (rng.random(len(digits)) < 0.5)[:, None]
    return np.stack([image[1 + dy : 9 + dy, 1 + dx : 9 + dx] for image, (dy, dx) in zip(padded, moves, strict=True)])


def photographed(digits: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Digits [n, 8, 8] in [0, 1] as the camera sees them: float32 [n, 1, 8, 8] on a 14-bit grid in [0, 1]."""
    n = len(digits)
    exposure = np.exp(rng.uniform(np.log(DARKEST), 0, n))[:, None, None]
    haze = rng.uniform(0, HAZE, n)[:, None, None]
    light = exposure * (haze + (1 - haze) * digits + rng.normal(0, NOISE, digits.shape))
    recorded = np.rint(np.clip(light, 0, 1) * CAMERA_LEVELS) / CAMERA_LEVELS
    return recorded.astype(np.float32)[:, None]


def optimizer_of(net: nn.Module) -> torch.optim.Optimizer:
    """AdamW that decays dense weights only."""
    free = [p for name, p in net.named_parameters() if "depthwise" in name or p.ndim == 1]
    known = {id(p) for p in free}
    dense = [p for p in net.parameters() if id(p) not in known]
    groups = [{"params": free, "weight_decay": 0.0}, {"params": dense, "weight_decay": WEIGHT_DECAY}]
    return torch.optim.AdamW(groups, lr=LEARNING_RATE)


def train(digits: np.ndarray, labels: np.ndarray, rng: np.random.Generator) -> DigitNet:
    """Train on fresh shifts and scenes of the training digits in every epoch."""
    net = DigitNet()
    optimizer = optimizer_of(net)
    n_batches = -(-len(digits) * VIEWS_PER_EPOCH // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=EPOCHS * n_batches)
    repeated = np.tile(labels, VIEWS_PER_EPOCH)
    net.train()
    for epoch in range(EPOCHS):
        scenes = np.concatenate([photographed(shifted(digits, rng), rng) for _ in range(VIEWS_PER_EPOCH)])
        total = 0.0
        for chosen in np.array_split(rng.permutation(len(scenes)), n_batches):
            logits = net(torch.from_numpy(scenes[chosen]))
            loss = nn.functional.cross_entropy(logits, torch.from_numpy(repeated[chosen]), label_smoothing=0.02)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item()
        print(f"epoch {epoch + 1:2d}/{EPOCHS}  loss {total / n_batches:.3f}")
    return net.eval()


def export(net: DigitNet, path: Path) -> None:
    """Write the network with a free batch size; BatchNorm is folded, node names follow the modules."""
    torch.onnx.export(
        net,
        (torch.zeros(1, 1, 8, 8),),
        path,
        opset_version=17,
        dynamo=False,  # this exporter names nodes by module: /features/features.1/depthwise/conv/Conv
        input_names=["image"],
        output_names=["logits"],
        dynamic_axes={"image": {0: "batch"}, "logits": {0: "batch"}},
    )


def main() -> None:
    torch.manual_seed(0)
    torch.use_deterministic_algorithms(True)
    torch.set_num_threads(2)
    source = load_digits()
    kept, held_out, kept_labels, held_out_labels = train_test_split(
        (source.images / 16).astype(np.float32),
        source.target.astype(np.int64),
        test_size=N_HELD_OUT,
        stratify=source.target,
        random_state=0,
    )
    net = train(kept, kept_labels, np.random.default_rng(0))

    rng = np.random.default_rng(1)
    views = [held_out] + [shifted(held_out, rng) for _ in range(VIEWS - 1)]
    images = np.concatenate([photographed(view, rng) for view in views])
    labels = np.tile(held_out_labels, VIEWS)
    calibration = photographed(kept[rng.choice(len(kept), N_CALIBRATION, replace=False)], rng)

    export(net, HERE / "digits.onnx")
    np.savez_compressed(HERE / "calibration.npz", image=calibration)
    np.savez_compressed(HERE / "evaluation.npz", image=images, labels=labels)
    with torch.no_grad():
        right = net(torch.from_numpy(images)).argmax(1).numpy() == labels
    print(f"{sum(p.numel() for p in net.parameters())} parameters, top-1 {right.mean():.4f} on {len(labels)} scenes")


if __name__ == "__main__":
    main()
