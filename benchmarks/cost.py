"""How many assignments of a network ``CostModel.costs`` prices per second of one core.

``python -m benchmarks.cost`` prints one row per target: seconds to build the tables, assignments per second, and the
rate of the term-by-term ``cost`` for comparison. Goal: 1,000,000 per second with 50 groups.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass

import numpy as np

from search.graph.network import Constant, ConstantKind, Group, Network, OpClass, Slot, SlotKind, Tensor
from search.targets.cost import CostModel
from search.targets.target import load_target, target_names


def residual_network(n_groups: int) -> Network:
    """Blocks of Conv, Sigmoid, Conv with a summed skip input, and a Concat that reads two blocks back."""
    tensors = [Tensor("x", None, "x", 3 * 224 * 224)]
    groups: list[Group] = []
    constants: list[Constant] = []
    for g in range(n_groups):
        step = g % 4
        last = len(tensors) - 1
        name, op_type, op_class = f"g{g}", *_KINDS[step]
        reads = [(last, SlotKind.ACTIVATION)]
        if step == 2:
            reads.append((max(0, last - 2), SlotKind.SUM_IN))
        if step == 3:
            reads.append((max(0, last - 7), SlotKind.ACTIVATION))
        slots = tuple(Slot(t, kind, name, i) for i, (t, kind) in enumerate(reads))
        is_gemm = op_class is OpClass.GEMM
        if is_gemm:
            constants.append(Constant(f"w{g}", g, ConstantKind.WEIGHT, name, 1, (64, 64, 3, 3), 0))
        outputs = ("y",) if g == n_groups - 1 else ()
        tensors.append(Tensor(f"t{g}", g, name, 64 * 28 * 28, outputs))
        macs = 64 * 64 * 9 * 28 * 28 if is_gemm else 0
        groups.append(Group(name, op_type, op_class, (name,), slots, (last + 1,), macs, 64 * 28 * 28))
    return Network(tuple(groups), tuple(tensors), tuple(constants), ("y",))


N_PLAIN = 50
_KINDS = (
    ("Conv", OpClass.GEMM),
    ("Sigmoid", OpClass.LUT),
    ("Conv", OpClass.GEMM),
    ("Concat", OpClass.MOVEMENT),
)


def rates(n_groups: int, n: int) -> dict[str, float]:
    """Assignments per second by target."""
    return {name: _measured(residual_network(n_groups), name, n).rate for name in target_names()}


@dataclass(frozen=True)
class Pricing:
    """Seconds to build the tables, assignments per second by tables and term by term."""

    built: float
    rate: float
    plain_rate: float


def _measured(network: Network, name: str, n: int) -> Pricing:
    model = CostModel(network, load_target(name, toolchain=None))
    rng = np.random.default_rng(0)
    columns = [rng.integers(0, len(legal), n) for legal in model.choices]
    rows = np.stack(columns, axis=1).astype(np.uint8)
    started = time.process_time()
    model.costs(rows[:1])
    built = time.process_time()
    costs = model.costs(rows)
    walked = time.process_time()
    plain = [model.cost(model.decode(row)) for row in rows[:N_PLAIN]]
    ended = time.process_time()
    assert plain == costs[:N_PLAIN].tolist()
    return Pricing(built - started, n / (walked - built), N_PLAIN / (ended - walked))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--groups", type=int, default=50)
    parser.add_argument("--assignments", type=int, default=200_000)
    options = parser.parse_args()
    network = residual_network(options.groups)
    print(f"{options.groups} groups, {options.assignments} assignments")
    print(f"{'target':10} {'tables s':>9} {'costs /s':>12} {'cost /s':>9}")
    for name in target_names():
        found = _measured(network, name, options.assignments)
        print(f"{name:10} {found.built:9.3f} {found.rate:12,.0f} {found.plain_rate:9,.0f}")


if __name__ == "__main__":
    main()
