"""Small networks for tests of chip rules, written as chains of groups; nothing here reads ONNX."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from search.graph.network import Constant, ConstantKind, Group, Network, OpClass, Slot, SlotKind, Tensor

GEMM, RECURRENT = OpClass.GEMM, OpClass.RECURRENT
_SLOTS = {
    "a": SlotKind.ACTIVATION,
    "b": SlotKind.SECOND,
    "s": SlotKind.SUM_IN,
    "f": SlotKind.FEATURE,
    "g": SlotKind.GRID,
}


@dataclass
class Sketch:
    """A network under construction: ``value = sketch.add("Conv", [x])``; values are tensor indices."""

    groups: list[Group] = field(default_factory=list)
    tensors: list[Tensor] = field(default_factory=list)
    constants: list[Constant] = field(default_factory=list)

    def input(self, name: str = "x", *, elements: int = 1000, integers: tuple[int, int] | None = None) -> int:
        self.tensors.append(Tensor(name, None, name, elements, (), integers))
        return len(self.tensors) - 1

    def add(
        self,
        op_type: str,
        reads: list[int],
        *,
        kinds: str = "",
        name: str = "",
        op_class: OpClass | None = None,
        output: str = "",
        elements: int = 1000,
        macs: int = 100_000,
        weight: bool = True,
        operand: int = 0,
    ) -> int:
        """Append a group; ``kinds`` has one letter per read: a, b, s, f, g."""
        g = len(self.groups)
        name = name or f"{op_type}_{g}"
        kind = op_class or CLASSES[op_type]
        slots = tuple(
            Slot(t, _SLOTS[k], name, i) for i, (t, k) in enumerate(zip(reads, kinds or "a" * len(reads), strict=True))
        )
        self.tensors.append(Tensor(f"t{g}", g, name, elements, (output,) if output else ()))
        written = len(self.tensors) - 1
        is_gemm = kind in (GEMM, RECURRENT)
        if is_gemm and weight and "b" not in kinds:
            self.constants.append(Constant(f"w{g}", g, ConstantKind.WEIGHT, name, 1, (8, 64), 0))
        if operand:
            self.constants.append(Constant(f"c{g}", g, ConstantKind.OPERAND, name, len(slots), (operand,), None))
        macs = macs if is_gemm else 0
        self.groups.append(Group(name, op_type, kind, (name,), slots, (written,), macs, elements))
        return written

    def done(self) -> Network:
        outputs = tuple(name for tensor in self.tensors for name in tensor.model_outputs)
        return Network(tuple(self.groups), tuple(self.tensors), tuple(self.constants), outputs)


CLASSES = {
    "Conv": GEMM,
    "Gemm": GEMM,
    "MatMul": GEMM,
    "LSTM": RECURRENT,
    "Add": OpClass.ELEMENTWISE,
    "Mul": OpClass.ELEMENTWISE,
    "Relu": OpClass.ACTIVATION,
    "Sigmoid": OpClass.LUT,
    "Tanh": OpClass.LUT,
    "Softmax": OpClass.NORM,
    "LayerNormalization": OpClass.NORM,
    "MaxPool": OpClass.POOL,
    "AveragePool": OpClass.POOL,
    "GlobalAveragePool": OpClass.POOL,
    "ReduceMean": OpClass.POOL,
    "Resize": OpClass.RESIZE,
    "GridSample": OpClass.WARP,
    "Concat": OpClass.MOVEMENT,
    "Gather": OpClass.EMBEDDING,
    "TopK": OpClass.FLOAT,
}


def random_network(seed: int, n_groups: int = 10) -> Network:
    """A network of every kind of group in random order, with branches, several outputs and one that is also read."""
    rng = np.random.default_rng(seed)
    sketch = Sketch()
    values = [sketch.input("x"), sketch.input("u", integers=(0, 255))]
    names = sorted(CLASSES)
    for i in range(n_groups):
        op_type = names[int(rng.integers(len(names)))]
        kinds = {
            "Conv": "as" if rng.random() < 0.5 else "a",
            "MatMul": "ab",
            "Add": "aa",
            "Concat": "aa",
            "GridSample": "fg",
        }
        letters = kinds.get(op_type, "a")
        reads = [int(rng.choice(values[-4:])) for _ in letters]
        output = f"y{i}" if rng.random() < 0.25 or i == n_groups - 1 else ""
        written = sketch.add(
            op_type,
            reads,
            kinds=letters,
            output=output,
            elements=int(rng.integers(1, 5000)),
            operand=int(rng.integers(0, 3)) * 7,
        )
        if not output or rng.random() < 0.5:
            values.append(written)
    return sketch.done()
