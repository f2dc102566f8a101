"""Every stored value and cast of an integer program beside what float arithmetic makes of the program's own inputs.

Errors do not add up: each operator is given exactly what the program gave it, computed node by node in float (as in
``by_hand``), rounded to the grid of its result and compared with the program's integers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from search.evaluation.template import Template
from search.precision import Format
from search.quant.grid import quantize
from search.simulator.program import Program
from search.simulator.reference.run import Reference
from search.targets.placement import Placement
from tests.evaluation.by_hand import Hand, Values, run_node


@dataclass(frozen=True)
class Gap:
    """How far one value of the program is from float arithmetic.

    ``steps`` is in steps of its grid; of a value that is not an integer it is relative to its largest number.
    """

    value: str
    kind: str
    read: tuple[Format, ...]
    stored: Format
    steps: float
    share: float


class StepByStep(Hand):
    """One run of a program, compared value by value."""

    def __init__(
        self,
        template: Template,
        placement: Placement,
        grids: Any,
        program: Program,
        prescale: Mapping[int, int] | None = None,
    ) -> None:
        super().__init__(template, placement, grids, prescale or {})
        self.program = program
        self.gaps: list[Gap] = []
        self.kept: Mapping[str, Any] = {}

    def compare(self, feeds: Mapping[str, Any]) -> list[Gap]:
        """All gaps."""
        found = Reference(self.program).run(feeds, keep="all")
        self.kept = {**found.kept, **found.values}
        values: Values = dict(feeds)
        for name in feeds:
            if name in self.template.roots:
                self._settle(values, name, "input", ())
        for node in self.template.model.graph.node:
            inputs = [self._operand(node, i, name, values) if name else None for i, name in enumerate(node.input)]
            captured = {name: self._captured(node, name, values) for name in self.template.nested.get(node.name, ())}
            for name, value in zip(node.output, run_node(node, inputs, captured), strict=True):
                if name:
                    values[name] = np.asarray(value)
                    if name in self.template.roots:
                        self._settle(values, name, *self._kind(node.name))
        return self.gaps

    def _kind(self, node: str) -> tuple[str, tuple[Format, ...]]:
        index = self.template.group_of.get(node)
        if index is None:
            return "outside", ()
        weights = tuple(self.placement.constants[c] for c in self.network.constants_of[index])
        return self.network.groups[index].op_type, (*self.placement.read[index], *weights)

    def _settle(self, values: Values, name: str, kind: str, read: tuple[Format, ...]) -> None:
        """Compare what was computed with the program's value, and go on with that."""
        tensor = self.template.roots[name]
        fmt = Format.FP32 if tensor in self.template.foreign else self.placement.stored[tensor]
        if fmt.is_integer:
            values[name] = self._compare_integers(f"{name}_quantized", values[name], tensor, fmt, kind, read, name)
            return
        expected = self._round(values[name], tensor, fmt)
        got = self.kept.get(name, expected)
        if kind != "input":
            with np.errstate(invalid="ignore"):
                away = np.abs(np.where(got == expected, 0, got.astype(np.float64) - expected)).max(initial=0)
            steps = float(away / max(float(np.abs(expected).max(initial=0)), 1e-30))
            self.gaps.append(Gap(name, kind, read, fmt, steps, 0.0))
            values[name] = got
        else:
            values[name] = expected

    def _compare_integers(
        self, held: str, real: Any, tensor: int, fmt: Format, kind: str, read: tuple[Format, ...], name: str
    ) -> Any:
        grid = self.grids.activation(tensor, fmt)
        integers = self.kept[held].astype(np.int64)
        away = np.abs(integers - quantize(np.asarray(real, np.float32), grid).astype(np.int64))
        self.gaps.append(Gap(name, kind, read, fmt, float(away.max(initial=0)), float((away > 0).mean())))
        return (integers - grid.zero_point).astype(np.float32) * np.float32(grid.scale)

    def _read_value(self, name: str, value: Any, tensor: int, fmt: Format) -> Any:
        stored = self.placement.stored[tensor]
        if fmt is stored or tensor in self.template.foreign or not fmt.is_integer:
            return self._read(value, tensor, fmt)
        held = f"{name}_{fmt.value}_quantized"
        if held not in self.kept:
            return self._read(value, tensor, fmt)
        return self._compare_integers(held, value, tensor, fmt, "cast", (stored,), held)
