"""Networks and noises that tests of strategies share."""

from __future__ import annotations

from search.graph.network import Network
from search.targets.target import load_target
from tests.targets.networks import Sketch

J6M, J6M32 = load_target("j6m", toolchain="3.0.17"), load_target("j6m", toolchain="3.2.0")
J6E32 = load_target("j6e", toolchain="3.2.0")
J6P, ORT = load_target("j6p", toolchain=None), load_target("ort-cpu", toolchain=None)
TX = load_target("tx5105c", toolchain=None)


def chain(n: int = 6, *, macs: int = 10_000_000, outputs: int = 1) -> Network:
    """``n`` gemms in a row, each with a Sigmoid behind it; further outputs are gemms on the last value."""
    sketch = Sketch()
    value = sketch.input()
    for i in range(n):
        value = sketch.add("Conv", [value], name=f"conv{i}", macs=macs)
        value = sketch.add("Sigmoid", [value], name=f"act{i}")
    for i in range(outputs):
        sketch.add("Gemm", [value], name=f"head{i}", output=f"y{i}", macs=macs // 10)
    return sketch.done()


def group(network: Network, name: str) -> int:
    """Index of a group by name."""
    return next(g for g, one in enumerate(network.groups) if one.name == name)


def written(network: Network, name: str) -> tuple[str, int]:
    """The point of what a group writes."""
    return "activation", network.groups[group(network, name)].outputs[0]


def weights(network: Network, name: str) -> tuple[str, int]:
    """The point of a group's weights."""
    return "weight", network.constants_of[group(network, name)][0]
