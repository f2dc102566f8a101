"""Time of one group by itself, and of one cast, in whole picoseconds.

``own = max(macs / rate[kernel][precision], bytes / bandwidth) + elements / rate[operator][format]`` and ``cast = (bytes
in + bytes out) / bandwidth``. Bytes are inputs in the format read, constants in theirs, and outputs in the group's own
activation format. An integer gemm whose output is stored in another format takes ``macs / unfused_rate`` on top.

Whole picoseconds make sums exact in float64 whatever their order (up to 2**53 ps, 2.5 hours), so that the table walk
of ``CostModel.costs`` and the plain sum of ``CostModel.cost`` agree to the last bit and equal costs compare equal.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from search.graph.network import Constant, Group, Network, OpClass
from search.precision import Format, Precision
from search.targets.kernels import kernel_of
from search.targets.settings import Coefficient, Coefficients
from search.targets.target import Target

PICOSECONDS = 1e12
Source = Literal["vendor", "measured", "assumed"]
_TRUST: dict[str, int] = {"vendor": 0, "measured": 1, "assumed": 2}


@dataclass(frozen=True, slots=True)
class Term:
    """One addend of the cost.

    Attributes:
        picoseconds: Its time.
        source: The weakest source of the numbers behind it.
        key: Path of its coefficient below ``[cost]``; empty for no work.
        amount: Work; divided by the coefficient's rate it is the time.
    """

    picoseconds: int
    source: Source
    key: str = ""
    amount: int = 0


NOTHING = Term(0, "vendor")


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
        compute=_compute(book, group, precision),
        memory=_term(_bytes(book, group, precision), cost.bytes_per_s, "bytes_per_s"),
        vector=_term(values.elements, *_element_rate(cost, values, precision.activation)),
    )


def unfused_time(book: Formats, group: int, precision: Precision) -> Term:
    """Return what an integer gemm takes on top where its output is not stored in its own activation format."""
    kernel = kernel_of(book.network, group)
    rate = None if kernel is None else book.target.cost.unfused_rate.get(kernel, {}).get(precision)
    if rate is None:
        return NOTHING
    return _mac_term(
        book.target.cost, book.network.groups[group].macs, rate, f"unfused_rate.{kernel}.{precision.value}"
    )


def run_time(cost: Coefficients) -> Term:
    """Return the time of a run of an empty model."""
    return NOTHING if cost.runs_per_s is None else _term(1, cost.runs_per_s, "runs_per_s")


def cast_time(cost: Coefficients, elements: int, source: Format, goal: Format) -> Term:
    """Return the time to bring ``elements`` numbers from one format to another; nothing if they are equal."""
    if source is goal:
        return NOTHING
    kind: Literal["integer", "float"] = "integer" if source.is_integer and goal.is_integer else "float"
    return _cast(cost, elements * (source.n_bytes + goal.n_bytes), kind)


def dequantize_time(cost: Coefficients, elements: int) -> Term:
    """Return the time to hand out 32-bit accumulators as real numbers."""
    return _cast(cost, elements * 8, "float")


def unit_rate(cost: Coefficients) -> float:
    """Multiply-accumulates per second at relative rate 1."""
    return cost.peak_macs_per_s.value * cost.utilization.value


def _cast(cost: Coefficients, n_bytes: int, kind: Literal["integer", "float"]) -> Term:
    return _term(n_bytes, cost.cast_bytes_per_s[kind], f"cast_bytes_per_s.{kind}")


def _compute(book: Formats, group: int, precision: Precision) -> Term:
    values, cost = book.network.groups[group], book.target.cost
    if not values.macs or not (values.is_gemm or values.op_class is OpClass.FLOAT):
        return NOTHING
    kernel = kernel_of(book.network, group)
    special = None if kernel is None else cost.kernel_rate.get(kernel, {}).get(precision)
    if special is not None:
        return _mac_term(cost, values.macs, special, f"kernel_rate.{kernel}.{precision.value}")
    return _mac_term(cost, values.macs, cost.relative_rate[precision], f"relative_rate.{precision.value}")


def _mac_term(cost: Coefficients, macs: int, relative: Coefficient, key: str) -> Term:
    time = round(macs / (unit_rate(cost) * relative.value) * PICOSECONDS)
    return Term(time, _weakest(cost.peak_macs_per_s, cost.utilization, relative), key, macs)


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


def _element_rate(cost: Coefficients, group: Group, fmt: Format) -> tuple[Coefficient, str]:
    """Rate of the operator, else of its class, else the default; and its key."""
    for name in (group.op_type, group.op_class.value):
        found = cost.elements_per_s.get(name, {}).get(fmt)
        if found is not None:
            return found, f"elements_per_s.{name}.{fmt.value}"
    return cost.elements_per_s["default"][fmt], f"elements_per_s.default.{fmt.value}"


def _term(amount: int, rate: Coefficient, key: str) -> Term:
    return Term(round(amount / rate.value * PICOSECONDS), rate.source, key, amount)


def _weakest(*coefficients: Coefficient) -> Source:
    return max((c.source for c in coefficients), key=lambda source: _TRUST[source])
