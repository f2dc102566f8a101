"""How much of each point's noise an assignment keeps: the features of the estimator, by table lookup.

A point is a tensor or constant whose error was measured at a base. ``level`` is 1 where it is rounded as at the base,
``4 ** -(bits gained)`` where it is held finer. A tensor acts at its *edges*: each reader and each model output; those
that were rounded at the base share its noise evenly. The format that counts at an edge is what the reader asks for, or
less if the writer cannot produce it, so an edge depends on two groups at most: one small table per edge.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from search.arrays import Integer
from search.assignment import Assignment
from search.precision import Format, Precision
from search.sensitivity.points import Point, PointKind
from search.targets.placement import stored_format
from search.targets.rulebook import Rulebook

Indices = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]

POWER = {Format.INT8: 1.0, Format.INT16: 2.0**-16, Format.FP16: 2.0**-12, Format.FP32: 0.0}
"""Noise power of one tensor by format, relative to int8. fp16: 11 bits of a value that is a quarter of the range."""
CHUNK = 4096  # assignments per step: keeps temporaries in the cache
PromotedNoise = Mapping[Point, Mapping[Format, float]]
"""Point to what it keeps of its noise in a finer format, where that was measured."""


@dataclass(frozen=True)
class ChoiceSpace:
    """Precisions a search chooses among.

    Attributes:
        book: The rules of the chip laid over the network.
        base: Effective assignment of the base.
        choices: Per group; the first is that of the base.
    """

    book: Rulebook
    base: Assignment
    choices: tuple[tuple[Precision, ...], ...]

    def encode(self, assignment: Assignment) -> Indices:
        """Return an assignment as indices into ``choices``, uint8 ``[groups]``.

        Raises:
            ValueError: If a group has another precision.
        """
        return np.array([own.index(p) for own, p in zip(self.choices, assignment.precisions, strict=True)], np.uint8)

    def decode(self, row: npt.NDArray[Integer]) -> Assignment:
        """Return the assignment of one row of indices."""
        return Assignment(tuple(own[int(i)] for own, i in zip(self.choices, row, strict=True)))

    @property
    def free(self) -> tuple[int, ...]:
        """Groups with more than one choice."""
        return tuple(g for g, own in enumerate(self.choices) if len(own) > 1)

    @property
    def count(self) -> int:
        """Number of assignments, exactly."""
        return math.prod(len(own) for own in self.choices)

    def all_rows(self, most: int) -> Indices | None:
        """Return every assignment ``[n, groups]``; None if there are more than ``most``.

        Only groups with a choice are enumerated: at least two choices each, so at most ``log2(most)`` of them.
        """
        if self.count > most:
            return None
        rows = np.zeros((self.count, len(self.choices)), np.uint8)
        if self.free:
            sizes = [len(self.choices[g]) for g in self.free]
            rows[:, self.free] = np.indices(sizes, np.uint8).reshape(len(sizes), -1).T
        return rows

    def holds(self, assignment: Assignment) -> bool:
        """Whether every precision is one of the choices."""
        return all(p in own for own, p in zip(self.choices, assignment.precisions, strict=True))


@dataclass(frozen=True, eq=False)
class Edge:
    """Where one point acts.

    Attributes:
        point: Index of the point.
        first: Group whose choice counts, or None.
        second: Another one, or None.
        attenuation: ``[choices of first, choices of second]``, one row or column where there is no group.
    """

    point: int
    first: int | None
    second: int | None
    attenuation: Floats


Ask = tuple[int | None, Mapping[Precision, Format] | Format]
"""A reading group and the format it asks for by its choice; no group and one format for a model output."""


class NoiseAttenuation:
    """NoiseAttenuation of ``points`` under the choices of ``options``.

    Args:
        options: Choices; the base is the one the points were measured at.
        points: Points, in the order of the columns.
        kept: What was measured of them in finer formats; ``POWER`` counts elsewhere.
    """

    def __init__(self, options: ChoiceSpace, points: Sequence[Point], kept: PromotedNoise | None = None) -> None:
        self.options = options
        self.points = tuple(points)
        powers = [_powers(point, (kept or {}).get(point, {})) for point in points]
        self.edges = tuple(edge for j, point in enumerate(points) for edge in _edges(options, j, point, powers[j]))

    def of(self, index_array: Indices) -> Floats:
        """Return the level of every point, ``[n, groups]`` -> float64 ``[n, points]``."""
        found = np.zeros((len(index_array), len(self.points)))
        for start in range(0, len(index_array), CHUNK):
            columns = np.ascontiguousarray(index_array[start : start + CHUNK].T).astype(np.intp)
            part = np.zeros((len(self.points), columns.shape[1]))
            for edge in self.edges:
                part[edge.point] += _lookup(edge, columns)
            found[start : start + CHUNK] = part.T
        return found


def _lookup(edge: Edge, columns: npt.NDArray[np.intp]) -> Floats | np.float64:
    """NoiseAttenuation of one edge for one chunk, ``columns`` of shape ``[groups, n]``."""
    table = edge.attenuation.ravel()
    if edge.first is None:
        key = None if edge.second is None else columns[edge.second]
    elif edge.second is None:
        key = columns[edge.first]
    else:
        key = columns[edge.first] * edge.attenuation.shape[1] + columns[edge.second]
    if key is None:
        return np.float64(table[0])
    found: Floats = table.take(key)
    return found


def _powers(point: Point, measured: Mapping[Format, float]) -> dict[Format, float]:
    """Level of a point by format."""
    return {fmt: measured.get(fmt, power / POWER[point.fmt]) for fmt, power in POWER.items()} | {point.fmt: 1.0}


def _edges(options: ChoiceSpace, j: int, point: Point, powers: Mapping[Format, float]) -> list[Edge]:
    if point.kind is PointKind.WEIGHT:
        return [_weight_edge(options, j, point, powers)]
    book, tensor = options.book, options.book.network.tensors[point.index]
    asks: list[Ask] = [
        (g, {p: book.read(g, s, p) for p in options.choices[g]}) for g, s in book.network.readers[point.index]
    ]
    asks += [(None, fmt) for fmt in book.output_asks(point.index)]
    rounded = [ask for ask in asks if _at_base(options, tensor.writer, ask) is point.fmt]
    return [_tensor_edge(options, Part(j, powers, 1.0 / len(rounded)), tensor.writer, ask) for ask in rounded]


def _at_base(options: ChoiceSpace, writer: int | None, ask: Ask) -> Format:
    group, formats = ask
    wanted = formats if isinstance(formats, Format) else formats[options.base[group or 0]]
    return counted(options.book, writer, None if writer is None else options.base[writer], wanted)


@dataclass(frozen=True)
class Part:
    """One point's share at one edge: its column, its level by format, how much of its noise."""

    column: int
    powers: Mapping[Format, float]
    share: float


def _tensor_edge(options: ChoiceSpace, part: Part, writer: int | None, ask: Ask) -> Edge:
    reader, formats = ask
    if isinstance(formats, Format) or reader is None or reader == writer:
        wanted: list[Format] = [formats] if isinstance(formats, Format) else list(formats.values())[:1]
        reader = None
    else:
        wanted = [formats[p] for p in options.choices[reader]]
    sources: Sequence[Precision | None] = (None,) if writer is None else options.choices[writer]
    attenuation = [
        [part.share * part.powers[counted(options.book, writer, source, fmt)] for fmt in wanted] for source in sources
    ]
    return Edge(part.column, writer, reader, np.array(attenuation))


def _weight_edge(options: ChoiceSpace, j: int, point: Point, powers: Mapping[Format, float]) -> Edge:
    constant = options.book.network.constants[point.index]
    formats = [options.book.constant(constant, p) for p in options.choices[constant.group]]
    attenuation = np.array([[powers[fmt]] for fmt in formats])
    return Edge(j, constant.group, None, attenuation)


def counted(book: Rulebook, writer: int | None, source: Precision | None, ask: Format) -> Format:
    """Return the format that counts where ``ask`` is read of what ``writer`` produces at ``source``."""
    caps = None if writer is None or source is None else book.caps(writer, source)
    return min(stored_format(caps, (ask,)), ask)
