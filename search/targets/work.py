"""Time of one group by itself, and of one cast, in whole picoseconds.

``own = max(macs / rate[precision], bytes / bandwidth) + elements / rate[class][format]`` and ``cast = (bytes in +
bytes out) / bandwidth``. Bytes are inputs in the format read, constants in theirs, and outputs in the group's own
activation format.

Whole picoseconds make sums exact in float64 whatever their order (up to 2**53 ps, 2.5 hours), so that the table walk
of ``CostModel.costs`` and the plain sum of ``CostModel.cost`` agree to the last bit and equal costs compare equal.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from search.graph.network import Constant, Network, OpClass
from search.precision import Format, Precision
from search.targets.settings import Coefficient, Coefficients
from search.targets.target import Target

PICOSECONDS = 1e12
Source = Literal["vendor", "measured", "assumed"]
_TRUST: dict[str, int] = {"vendor": 0, "measured": 1, "assumed": 2}


@dataclass(frozen=True, slots=True)
class Term:
    """One addend of the cost: its time and the weakest source of the numbers behind it."""

    picoseconds: int
    source: Source


@dataclass(frozen=True, slots=True)
class OwnTime:
    """Time of a group without casts.

    Attributes:
        compute: Multiply-accumulates.
        memory: Operands and results; overlaps with ``compute``, the longer one counts.
        vector: Element work.
    """

    compute: Term
    memory: Term
    vector: Term

    @property
    def picoseconds(self) -> int:
        """``max(compute, memory) + vector``."""
        return max(self.compute.picoseconds, self.memory.picoseconds) + self.vector.picoseconds

    @property
    def counted(self) -> tuple[Term, Term]:
        """The two terms that make up the sum."""
        longer = self.compute if self.compute.picoseconds >= self.memory.picoseconds else self.memory
        return longer, self.vector


class Formats(Protocol):
    """What the time of a group depends on beside its work; a ``Rulebook`` knows it."""

    network: Network
    target: Target

    def read(self, group: int, slot: int, precision: Precision) -> Format:
        """Format in which a slot is read."""

    def constant(self, constant: Constant, precision: Precision) -> Format:
        """Format of a constant."""


def own_time(book: Formats, group: int, precision: Precision) -> OwnTime:
    """Return the time of a group by itself at ``precision``."""
    network, cost = book.network, book.target.cost
    values = network.groups[group]
    return OwnTime(
        compute=_compute(cost, values.op_class, values.macs, precision),
        memory=_term(_bytes(book, group, precision), cost.bytes_per_s),
        vector=_term(values.elements, _element_rate(cost, values.op_class, precision.activation)),
    )


def cast_time(cost: Coefficients, elements: int, source: Format, goal: Format) -> Term:
    """Return the time to bring ``elements`` numbers from one format to another; nothing if they are equal."""
    if source is goal:
        return Term(0, "vendor")
    kind: Literal["integer", "float"] = "integer" if source.is_integer and goal.is_integer else "float"
    return _term(elements * (source.n_bytes + goal.n_bytes), cost.cast_bytes_per_s[kind])


def dequantize_time(cost: Coefficients, elements: int) -> Term:
    """Return the time to hand out 32-bit accumulators as real numbers."""
    return _term(elements * 8, cost.cast_bytes_per_s["float"])


def _compute(cost: Coefficients, op_class: OpClass, macs: int, precision: Precision) -> Term:
    if not macs or op_class not in (OpClass.GEMM, OpClass.RECURRENT, OpClass.FLOAT):
        return Term(0, "vendor")
    relative = cost.relative_rate[precision]
    rate = cost.peak_macs_per_s.value * cost.utilization.value * relative.value
    return Term(round(macs / rate * PICOSECONDS), _weakest(cost.peak_macs_per_s, cost.utilization, relative))


def _bytes(book: Formats, group: int, precision: Precision) -> int:
    network = book.network
    values = network.groups[group]
    read = sum(
        network.tensors[slot.tensor].elements * book.read(group, s, precision).n_bytes
        for s, slot in enumerate(values.inputs)
    )
    written = sum(network.tensors[t].elements for t in values.outputs)
    constants = 0
    for index in network.constants_of[group]:
        constant = network.constants[index]
        # A gather touches only the rows it returns.
        used = min(constant.n_elements, written) if values.op_class is OpClass.EMBEDDING else constant.n_elements
        constants += used * book.constant(constant, precision).n_bytes
    return read + constants + written * precision.activation.n_bytes


def _element_rate(cost: Coefficients, op_class: OpClass, fmt: Format) -> Coefficient:
    own = cost.elements_per_s.get(op_class.value, {})
    return own.get(fmt) or cost.elements_per_s["default"][fmt]


def _term(amount: int, rate: Coefficient) -> Term:
    return Term(round(amount / rate.value * PICOSECONDS), rate.source)


def _weakest(*coefficients: Coefficient) -> Source:
    return max((c.source for c in coefficients), key=lambda source: _TRUST[source])
