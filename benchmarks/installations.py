"""Installations that vanish, and the study that they compute."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from tests.builders import conv, model, node, save
from tests.service.databases import new_url
from tests.study.small import Files, labels_of
from tests.workers.installation import Installation, installation

GOAL = [{"metric": "top1", "max_drop": 0.01}]
WAIT_S = 1800.0
WIDTH, SIDE = 64, 8


@contextmanager
def fresh(backend: str, **settings: float) -> Iterator[Installation]:
    """An installation that vanishes."""
    with (
        tempfile.TemporaryDirectory() as folder,
        new_url(backend) as url,
        installation(Path(folder), url, **settings) as made,
    ):
        yield made


def large_study(folder: Path, n: int) -> Files:
    """A network of 24 convolutions on 8 x 8 maps of 64 channels: 54 M multiply-accumulates per picture.

    The tensors of a batch stay in the cache of a processor: what two processes gain is up to the service, not to how
    many of them the memory can feed.
    """
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True, exist_ok=True)
    constants, nodes, value, channels = {}, [], "x", 3
    for i in range(24):
        constants[f"w{i}"] = rng.normal(0, (2 / (9 * channels)) ** 0.5, (WIDTH, channels, 3, 3))
        if i == 3:
            constants["w3"][5:21] *= 400.0  # loud channels that nobody listens to: 8 bits are not enough here
        if i == 4:
            constants["w4"][:, 5:21] = 0.0
        stride = 2 if i == 0 else 1
        nodes.append(conv(f"c{i}", value, f"y{i}", weight=f"w{i}", pads=[1, 1, 1, 1], strides=[stride, stride]))
        nodes.append(node("Relu", f"y{i}", f"r{i}", f"relu{i}"))
        value, channels = f"r{i}", WIDTH
    constants["head"] = rng.normal(0, 1, (channels * SIDE**2, 10))
    nodes += [node("Flatten", value, "f"), node("Gemm", "f head", "logits", "fc")]
    proto = model(nodes, [f"x[N,3,{2 * SIDE},{2 * SIDE}]"], ["logits[N,10]"], constants)
    x = rng.normal(0, 1, (n, 3, 2 * SIDE, 2 * SIDE)).astype(np.float32)
    np.savez(folder / "calibration.npz", x=x[:32])
    np.savez(folder / "evaluation.npz", x=x, **labels_of(proto, x))
    return Files(save(proto, folder), folder / "calibration.npz", folder / "evaluation.npz")
