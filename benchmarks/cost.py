"""How many assignments of a 100-group network ``CostModel.costs`` prices per second, on one thread.

``python -m benchmarks.cost`` prints one row per target: seconds to build the tables, assignments per second, and the
rate of the term-by-term ``cost`` for comparison. Goal: 100,000 per second.
"""

from __future__ import annotations

import argparse
import time

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


_KINDS = (
    ("Conv", OpClass.GEMM),
    ("Sigmoid", OpClass.LUT),
    ("Conv", OpClass.GEMM),
    ("Concat", OpClass.MOVEMENT),
)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--groups", type=int, default=100)
    parser.add_argument("--assignments", type=int, default=200_000)
    options = parser.parse_args()
    network = residual_network(options.groups)
    print(f"{options.groups} groups, {options.assignments} assignments")
    print(f"{'target':10} {'tables s':>9} {'costs /s':>12} {'cost /s':>9}")
    for name in target_names():
        model = CostModel(network, load_target(name, toolchain=None))
        rng = np.random.default_rng(0)
        columns = [rng.integers(0, len(legal), options.assignments) for legal in model.choices]
        rows = np.stack(columns, axis=1).astype(np.uint8)
        started = time.perf_counter()
        model.costs(rows[:1])
        built = time.perf_counter()
        costs = model.costs(rows)
        walked = time.perf_counter()
        plain = [model.cost(model.decode(row)) for row in rows[:50]]
        ended = time.perf_counter()
        assert plain == costs[:50].tolist()
        rate = options.assignments / (walked - built)
        print(f"{name:10} {built - started:9.3f} {rate:12,.0f} {50 / (ended - walked):9,.0f}")


if __name__ == "__main__":
    main()
