"""Tables that price many assignments in one vectorized walk.

A group's own time depends on its own choice: one table per group. The casts of a tensor depend on its writer and
readers together. Choices that behave alike at this tensor form a *class* (a reader: the formats it asks for; the
writer: the formats it can write), and the classes of all participants together index one table. Where that product is
too large, the tensor is priced in three steps: highest ask, stored format, then one lookup per reader.

All entries are whole picoseconds in float64, so sums are exact in any order.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from search.precision import Format, Precision
from search.targets.placement import stored_format
from search.targets.rulebook import Rulebook
from search.targets.tensor_time import tensor_terms
from search.targets.work import own_time, run_time

Indices: TypeAlias = npt.NDArray[np.uint8]
Times: TypeAlias = npt.NDArray[np.float64]
Keys: TypeAlias = npt.NDArray[np.intp]

LARGEST_TABLE = 1024
CHUNK = 4096  # assignments per step: keeps every temporary in the cache


@dataclass(frozen=True, eq=False)
class JointTable:
    """Casts of one tensor by the classes of its participants.

    Attributes:
        groups: Participants whose choice matters.
        strides: Per participant, choice to its share of the key.
        times: Key to picoseconds.
    """

    groups: tuple[int, ...]
    strides: tuple[Keys, ...]
    times: Times

    @property
    def least(self) -> float:
        """Picoseconds that no choice stays below."""
        return float(self.times.min())

    def add_to(self, total: Times, columns: Indices) -> None:
        """Add the casts of one chunk, ``columns`` of shape ``[groups, n]``."""
        key = self.strides[0].take(columns[self.groups[0]])
        for group, stride in zip(self.groups[1:], self.strides[1:], strict=True):
            key += stride.take(columns[group])
        total += self.times.take(key)


@dataclass(frozen=True, eq=False)
class SplitTable:
    """Casts of one tensor with many participants.

    Attributes:
        writer: The writing group, or None.
        caps: Choice of the writer to the row of ``stored``.
        readers: Reading groups.
        asks: Per reader, choice to the highest rank it asks for.
        floor: Highest rank the model outputs ask for.
        stored: ``[caps, rank]`` to the rank stored.
        ends: ``[caps, rank stored]`` to picoseconds at the model's ends.
        casts: Per reader, ``[choice, rank stored]`` to picoseconds.
    """

    writer: int | None
    caps: Keys
    readers: tuple[int, ...]
    asks: tuple[Keys, ...]
    floor: int
    stored: Keys
    ends: Times
    casts: tuple[Times, ...]

    @property
    def least(self) -> float:
        """Picoseconds that no choice stays below."""
        return float(self.ends.min()) + math.fsum(float(casts.min()) for casts in self.casts)

    def add_to(self, total: Times, columns: Indices) -> None:
        """Add the casts of one chunk, ``columns`` of shape ``[groups, n]``."""
        n = columns.shape[1]
        rank = np.full(n, self.floor, dtype=np.intp)
        for group, asks in zip(self.readers, self.asks, strict=True):
            np.maximum(rank, asks.take(columns[group]), out=rank)
        caps = np.zeros(n, dtype=np.intp) if self.writer is None else self.caps.take(columns[self.writer])
        stored = self.stored[caps, rank]
        total += self.ends[caps, stored]
        for group, casts in zip(self.readers, self.casts, strict=True):
            total += casts[columns[group], stored]


@dataclass(frozen=True, eq=False)
class CostTables:
    """All tables of one network on one target.

    Attributes:
        own: Per group, choice to picoseconds.
        tensors: Casts that depend on choices.
        constant: Casts that do not.
    """

    own: tuple[Times, ...]
    tensors: tuple[JointTable | SplitTable, ...]
    constant: float

    def least(self, choices: Sequence[Sequence[int]]) -> float:
        """Return picoseconds that no assignment stays below.

        Args:
            choices: Per group, the indices it may take. Casts count as if their participants were free of each other.
        """
        own = math.fsum(float(times[list(some)].min()) for times, some in zip(self.own, choices, strict=True))
        return self.constant + own + math.fsum(table.least for table in self.tensors)

    def picoseconds(self, index_array: Indices) -> Times:
        """Return the cost of each row of ``index_array``, shape ``[n, groups]`` -> ``[n]``.

        Raises:
            ValueError: If the shape does not fit or an entry is out of range.
        """
        if index_array.ndim != 2 or index_array.shape[1] != len(self.own) or index_array.dtype != np.uint8:
            raise ValueError(
                f"index_array must be uint8 [n, {len(self.own)}], got {index_array.dtype} {list(index_array.shape)}."
            )
        sizes = np.array([len(times) for times in self.own])
        if index_array.size and (index_array.max(axis=0) >= sizes).any():
            raise ValueError("index_array has an entry that is not a choice of its group.")
        total = np.full(len(index_array), self.constant)
        for start in range(0, len(index_array), CHUNK):
            columns = np.ascontiguousarray(index_array[start : start + CHUNK].T)
            part = total[start : start + CHUNK]
            for times, column in zip(self.own, columns, strict=True):
                part += times.take(column)
            for table in self.tensors:
                table.add_to(part, columns)
        return total


def build_tables(book: Rulebook) -> CostTables:
    """Return the tables of a rulebook's network."""
    choices = [allowed.choices for allowed in book.allowed]
    own = tuple(
        np.array([own_time(book, g, p).picoseconds for p in legal], dtype=np.float64) for g, legal in enumerate(choices)
    )
    tables: list[JointTable | SplitTable] = []
    constant = float(run_time(book.target.cost).picoseconds)
    for t in range(len(book.network.tensors)):
        table = _tensor_table(book, t, choices)
        if isinstance(table, JointTable) and not table.groups:
            constant += float(table.times[0])
        else:
            tables.append(table)
    return CostTables(own=own, tensors=tuple(tables), constant=constant)


def _tensor_table(book: Rulebook, t: int, choices: Sequence[tuple[Precision, ...]]) -> JointTable | SplitTable:
    writer = book.network.tensors[t].writer
    participants = dict.fromkeys(([] if writer is None else [writer]) + [g for g, _ in book.network.readers[t]])
    classes = {g: _classes(book, t, g, choices[g]) for g in participants}
    size = math.prod(max(found) + 1 for found in classes.values())
    return _joint(book, t, classes, choices) if size <= LARGEST_TABLE else _split(book, t, choices)


def _classes(book: Rulebook, t: int, group: int, legal: Sequence[Precision]) -> tuple[int, ...]:
    """Number of the class of each choice of a participant."""
    numbers: dict[object, int] = {}
    return tuple(numbers.setdefault(behaviour(book, t, group, p), len(numbers)) for p in legal)


def behaviour(book: Rulebook, t: int, group: int, precision: Precision) -> object:
    """What the casts of tensor ``t`` depend on of the precision of one participant; equal for precisions alike."""
    writes = book.network.tensors[t].writer == group
    own = precision if precision.is_pair and book.target.cost.unfused_rate else precision.is_pair
    caps = (book.caps(group, precision), own) if writes else None
    return caps, tuple(fmt for _, fmt in _reads_of(book, t, group, precision))


def _reads_of(book: Rulebook, t: int, group: int, precision: Precision) -> tuple[tuple[int, Format], ...]:
    return tuple((g, book.read(g, s, precision)) for g, s in book.network.readers[t] if g == group)


def price(book: Rulebook, t: int, precisions: Mapping[int, Precision]) -> int:
    """Picoseconds of the casts of one tensor while its participants run at ``precisions``."""
    writer = book.network.tensors[t].writer
    reads = tuple((g, book.read(g, s, precisions[g])) for g, s in book.network.readers[t])
    caps = None if writer is None else book.caps(writer, precisions[writer])
    stored = stored_format(caps, (*(fmt for _, fmt in reads), *book.output_asks(t)))
    own = None if writer is None else precisions[writer]
    return sum(term.time.picoseconds for term in tensor_terms(book, t, writer=own, stored=stored, reads=reads))


def _joint(
    book: Rulebook, t: int, classes: dict[int, tuple[int, ...]], choices: Sequence[tuple[Precision, ...]]
) -> JointTable:
    fixed = {g: choices[g][0] for g, numbers in classes.items() if max(numbers) == 0}
    free = {g: numbers for g, numbers in classes.items() if g not in fixed}
    samples = [[choices[g][numbers.index(k)] for k in range(max(numbers) + 1)] for g, numbers in free.items()]
    times = [price(book, t, {**fixed, **dict(zip(free, found, strict=True))}) for found in product(*samples)]
    strides, step = [], len(times)
    for numbers in free.values():
        step //= max(numbers) + 1
        strides.append(np.array(numbers, dtype=np.intp) * step)
    return JointTable(tuple(free), tuple(strides), np.array(times, dtype=np.float64))


def _split(book: Rulebook, t: int, choices: Sequence[tuple[Precision, ...]]) -> SplitTable:
    formats = tuple(Format)
    writer = book.network.tensors[t].writer
    readers = tuple(dict.fromkeys(g for g, _ in book.network.readers[t]))
    sources: tuple[Precision | None, ...] = (None,) if writer is None else choices[writer]
    ends = [[_ends(book, t, source, stored) for stored in formats] for source in sources]
    caps = [None if source is None or writer is None else book.caps(writer, source) for source in sources]
    return SplitTable(
        writer=writer,
        caps=np.arange(len(sources), dtype=np.intp),
        readers=readers,
        asks=tuple(
            np.array([max(fmt.rank for _, fmt in _reads_of(book, t, g, p)) for p in choices[g]], dtype=np.intp)
            for g in readers
        ),
        floor=max((fmt.rank for fmt in book.output_asks(t)), default=0),
        stored=np.array([[stored_format(own, (ask,)).rank for ask in formats] for own in caps], dtype=np.intp),
        ends=np.array(ends, dtype=np.float64),
        casts=tuple(
            np.array([[_casts(book, t, g, p, stored) for stored in formats] for p in choices[g]], dtype=np.float64)
            for g in readers
        ),
    )


def _ends(book: Rulebook, t: int, writer: Precision | None, stored: Format) -> int:
    return sum(term.time.picoseconds for term in tensor_terms(book, t, writer=writer, stored=stored, reads=()))


def _casts(book: Rulebook, t: int, group: int, precision: Precision, stored: Format) -> int:
    reads = _reads_of(book, t, group, precision)
    every = sum(term.time.picoseconds for term in tensor_terms(book, t, writer=precision, stored=stored, reads=reads))
    return every - _ends(book, t, precision, stored)
