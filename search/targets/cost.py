"""Cost of assignments on one target: groups by table, casts by the joint choice of a tensor's writer and readers.

``cost = time of an empty run + sum over groups of own time + sum over casts``, see work.py for all three. ``cost`` adds
it up term by term from the placement; ``costs`` looks the same numbers up for many assignments at once
(cost_tables.py). The index is ``cost / cost(all_low without pins)``; only a target fitted to measurements gives
microseconds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import numpy.typing as npt

from search.assignment import Assignment
from search.graph.network import Network
from search.precision import Format, Precision
from search.targets.cost_tables import CostTables, build_tables
from search.targets.legalise import Legaliser, uniform
from search.targets.placement import place_by
from search.targets.rulebook import Rulebook
from search.targets.target import Target
from search.targets.tensor_time import TensorTerm, tensor_terms
from search.targets.work import OwnTime, Term, own_time, run_time

PER_MICROSECOND = 1e6


@dataclass(frozen=True, slots=True)
class CastCost:
    """One cast, quantize or dequantize.

    Attributes:
        tensor: What is brought to another format.
        reader: The group that reads it, or None for a model input or output.
        stored: Format before, None for a 32-bit accumulator.
        goal: Format after.
        microseconds: Its time.
    """

    tensor: int
    reader: int | None
    stored: Format | None
    goal: Format
    microseconds: float


@dataclass(frozen=True)
class Breakdown:
    """Where the cost of one assignment comes from.

    Attributes:
        groups: Per group its own time.
        casts: Everything between groups and at the model's ends, and kernels lost to the format of an output.
        total: Microseconds by the model; meant to be compared, not read.
        assumed_share: Share of ``total`` that rests on assumed numbers.
    """

    groups: tuple[OwnTime, ...]
    casts: tuple[CastCost, ...]
    total: float
    assumed_share: float


class CostModel:
    """Prices the assignments of ``network`` on ``target``.

    Args:
        network: Groups and tensors.
        target: The chip.
        output_precision: Model output to ``high | int8 | int16``; ``high`` where not given.
    """

    def __init__(self, network: Network, target: Target, output_precision: Mapping[str, str] | None = None) -> None:
        self.network = network
        self.target = target
        self.book = Rulebook(network, target, output_precision)

    @property
    def choices(self) -> tuple[tuple[Precision, ...], ...]:
        """Legal precisions of every group, cheapest first; ``costs`` takes indices into them."""
        return tuple(allowed.choices for allowed in self.book.allowed)

    def cost(self, assignment: Assignment) -> float:
        """Return the modelled microseconds of a legal assignment.

        Raises:
            ValueError: If a group has a precision it cannot run at.
        """
        own, between = self._terms(assignment)
        total = sum(time.picoseconds for time in own) + sum(term.time.picoseconds for term in between)
        return (total + self._run.picoseconds) / PER_MICROSECOND

    def costs(self, index_array: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
        """Return the modelled microseconds of many assignments.

        Args:
            index_array: Shape ``[n, groups]``; entry ``[i, g]`` picks from ``choices[g]``.

        Returns:
            Shape ``[n]``; equal to ``cost`` to the last bit.

        Raises:
            ValueError: If the shape does not fit or an entry is out of range.
        """
        return self._tables.picoseconds(index_array) / PER_MICROSECOND

    def least_index(self, choices: Sequence[Sequence[Precision]]) -> float:
        """Return an index that no assignment stays below whose groups take their precisions from ``choices``."""
        places = [[legal.index(p) for p in some] for some, legal in zip(choices, self.choices, strict=True)]
        return self._tables.least(places) / PER_MICROSECOND / self.all_low_cost

    def index(self, assignment: Assignment) -> float:
        """Return the cost relative to ``all_low`` without pins."""
        return self.cost(assignment) / self.all_low_cost

    def indices(self, index_array: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
        """Return ``index`` of many assignments; see ``costs``."""
        return self.costs(index_array) / self.all_low_cost

    def encode(self, assignment: Assignment) -> npt.NDArray[np.uint8]:
        """Return the row of ``costs`` for a legal assignment, shape ``[groups]``.

        Raises:
            ValueError: If a group has a precision it cannot run at.
        """
        return np.array(
            [legal.index(p) for legal, p in zip(self.choices, assignment.precisions, strict=True)], dtype=np.uint8
        )

    def decode(self, row: npt.NDArray[np.uint8]) -> Assignment:
        """Return the assignment of one row of ``costs``."""
        return Assignment(tuple(legal[int(i)] for legal, i in zip(self.choices, row, strict=True)))

    @cached_property
    def all_low_cost(self) -> float:
        """Cost of the effective ``all_low`` without pins."""
        request = uniform(self.network, self.target, "low")
        return self.cost(Legaliser(self.book).legalise(request).effective)

    def breakdown(self, assignment: Assignment) -> Breakdown:
        """Return every term of the cost of a legal assignment."""
        own, between = self._terms(assignment)
        terms = self._counted(own, between)
        total = sum(term.picoseconds for term in terms)
        assumed = sum(term.picoseconds for term in terms if term.source == "assumed")
        return Breakdown(
            groups=own,
            casts=tuple(
                CastCost(t.tensor, t.reader, t.stored, t.goal, t.time.picoseconds / PER_MICROSECOND) for t in between
            ),
            total=total / PER_MICROSECOND,
            assumed_share=assumed / total if total else 0.0,
        )

    def assumed_share(self, assignment: Assignment) -> float:
        """Return the share of the cost that rests on assumed numbers, 0 to 1."""
        return self.breakdown(assignment).assumed_share

    def work(self, assignment: Assignment) -> Mapping[str, int]:
        """Return the work per coefficient: its path below ``[cost]`` to what its rate divides.

        Where compute and memory overlap, only the longer of the two is there.
        """
        found: dict[str, int] = {}
        for term in self._counted(*self._terms(assignment)):
            if term.amount:
                found[term.key] = found.get(term.key, 0) + term.amount
        return found

    @property
    def unit(self) -> Literal["index", "us"]:
        """What costs are given in: microseconds where the target was fitted to measurements."""
        return "index" if self.target.cost.fit is None else "us"

    def in_unit(self, index: float) -> float:
        """Return an index in ``unit``."""
        return index if self.target.cost.fit is None else index * self.all_low_cost

    def error_bar(self, index: float) -> tuple[float, float] | None:
        """Return the range in microseconds that holds nine of ten measurements, None without a fit."""
        fit, value = self.target.cost.fit, self.in_unit(index)
        return None if fit is None else (value / (1 + fit.error_90), value * (1 + fit.error_90))

    @property
    def _run(self) -> Term:
        return run_time(self.target.cost)

    def _counted(self, own: tuple[OwnTime, ...], between: tuple[TensorTerm, ...]) -> list[Term]:
        return [self._run, *(term for time in own for term in time.counted), *(entry.time for entry in between)]

    def _terms(self, assignment: Assignment) -> tuple[tuple[OwnTime, ...], tuple[TensorTerm, ...]]:
        placement = place_by(self.book, assignment)
        own = tuple(own_time(self.book, g, precision) for g, precision in enumerate(assignment.precisions))
        between: list[TensorTerm] = []
        for t, tensor in enumerate(self.network.tensors):
            reads = tuple((g, placement.read[g][s]) for g, s in self.network.readers[t])
            writer = None if tensor.writer is None else assignment[tensor.writer]
            between.extend(tensor_terms(self.book, t, writer=writer, stored=placement.stored[t], reads=reads))
        return own, tuple(between)

    @cached_property
    def _tables(self) -> CostTables:
        return build_tables(self.book)
