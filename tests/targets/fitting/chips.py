"""A chip with known coefficients, and times it would give."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from search.assignment import Assignment
from search.targets.cost import CostModel
from search.targets.fitting.measured import Measured
from search.targets.fitting.mixes import mixes
from search.targets.rulebook import Rulebook
from search.targets.target import Target, load_target
from tests.targets.networks import Sketch

J6M = load_target("j6m", toolchain="3.0.17")


def network(seed: int = 0, blocks: int = 6):
    """Blocks of a Conv, a Sigmoid and an Add, sizes from a seed; compute, bytes, elements and casts all matter."""
    rng = np.random.default_rng(seed)
    sketch = Sketch()
    value = sketch.input(elements=20_000)
    for i in range(blocks):
        elements = int(rng.integers(200_000, 900_000))
        value = sketch.add("Conv", [value], elements=elements, macs=int(rng.integers(200, 4000)) * 10**6)
        value = sketch.add("Sigmoid", [value], elements=elements)
        value = sketch.add("Add", [value], elements=elements, output="y" if i == blocks - 1 else "")
    return sketch.done()


def changed(target: Target, rates: Mapping[str, float]) -> Target:
    """The target with other coefficients, by path below ``[cost]``."""
    document = target.to_json()
    for path, value in rates.items():
        table: Any = document["cost"]
        *folders, last = path.split(".")
        for key in folders:
            table = table[key]
        table[last] = {**table[last], "value": value}
    return Target.from_json(document)


TRUTH = {
    "relative_rate.a8w8": 0.31,
    "relative_rate.a16w8": 0.11,
    "elements_per_s.lut.int8": 3e10,
    "elements_per_s.lut.int16": 4e10,
    "elements_per_s.default.int8": 6e9,
    "elements_per_s.default.int16": 2e9,
    "cast_bytes_per_s.integer": 8e9,
}


def times(
    truth: Target, networks: Sequence[Any], *, n: int, noise: float = 0.0, empty_us: float = 0.0
) -> tuple[Measured, ...]:
    """What a chip with the coefficients of ``truth`` would measure."""
    rng = np.random.default_rng(5)
    found = []
    for i, net in enumerate(networks):
        model = CostModel(net, truth)
        for assignment in mixes(Rulebook(net, truth), n, seed=i):
            exact = model.cost(assignment) + empty_us
            found.append(measured(net, assignment, exact * float(np.exp(noise * rng.normal())), model=f"net{i}"))
    return tuple(found)


def measured(
    net: Any, assignment: Assignment, microseconds: float, *, model: str = "net", samples: int = 1
) -> Measured:
    return Measured(model=model, microseconds=microseconds, samples=samples, network=net, assignment=assignment)
