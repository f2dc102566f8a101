"""The cheapest assignment whose believed noise stays below a limit at every output, from a linear program.

    minimize    sum of own times and casts
    subject to  sum over points of noise_oj * level_j <= limit_o      for every output o
                one choice per group

A group's own time and the noise of its weights depend on its own choice: one variable per group and choice. Casts and
noise of a tensor depend on its writer and readers together: one variable per combination of their choices that behave
alike, tied to the choices by their sums. Tensors with very many combinations are priced as if free of casts.

The solution is whole but for a few groups. All combinations of what these are split over are priced exactly, and the
cheapest that keeps the limits is changed further, group by group, while that makes it cheaper within the limits.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product

import numpy as np
import numpy.typing as npt
import scipy

from search.assignment import Assignment
from search.precision import Precision
from search.strategies.shared.attenuation import Edge, Floats, Indices, NoiseAttenuation
from search.targets.cost import CostModel
from search.targets.cost_tables import behaviour, price
from search.targets.work import own_time

MOST_COMBINATIONS = 256
BEYOND = 2.0  # of a limit: more than that is ruled out anyway
WHOLE = 1.0 - 1e-6
SUPPORT = 1e-4  # share from which on a group is split over a choice
MOST_ROUNDED = 512  # combinations
MOST_LOWERED = 12  # groups


@dataclass
class _Rows:
    """Sparse constraints under construction."""

    rows: list[int] = field(default_factory=list)
    columns: list[int] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    bounds: list[tuple[float, float]] = field(default_factory=list)

    def add(self, terms: Mapping[int, float], low: float, high: float) -> None:
        self.rows.extend([len(self.bounds)] * len(terms))
        self.columns.extend(terms)
        self.values.extend(terms.values())
        self.bounds.append((low, high))


class LpRelaxation:
    """Built once per set of choices and points; solved for many limits.

    Args:
        attenuation: Choices, points and their edges.
        cost: Of the same network on the same target.
    """

    def __init__(self, attenuation: NoiseAttenuation, cost: CostModel) -> None:
        options = attenuation.options
        self._cost = cost
        self._options = options
        self._attenuation = attenuation
        self._first: list[int] = []
        self._costs: list[float] = []
        for g, own in enumerate(options.choices):
            self._first.append(len(self._costs))
            self._costs.extend(float(own_time(options.book, g, p).picoseconds) for p in own)
        self._n_binary = len(self._costs)
        self._ties = _Rows()
        for g, own in enumerate(options.choices):
            self._ties.add({self._first[g] + i: 1.0 for i in range(len(own))}, 1.0, 1.0)
        self._noise: list[tuple[int, int, float]] = []  # variable, point, level
        self._constant = np.zeros(len(attenuation.points))
        by_tensor: dict[int, list[Edge]] = {}
        for edge in attenuation.edges:
            point = attenuation.points[edge.point]
            if point.kind.value == "activation":
                by_tensor.setdefault(point.index, []).append(edge)
            else:
                self._own_noise(edge)
        for t in range(len(options.book.network.tensors)):
            self._tensor(t, by_tensor.get(t, []))
        self._known = [
            np.array([legal.index(p) for p in own], np.uint8)
            for own, legal in zip(options.choices, cost.choices, strict=True)
        ]
        self._scale = max(sum(self._costs[first] for first in self._first), 1.0)

    def cheapest(self, noise: Sequence[Floats] = (), limits: Sequence[float] = ()) -> Assignment | None:
        """Return the cheapest assignment below every limit, None where there is none.

        Args:
            noise: Per output, noise power of each point at level 1; none for the cheapest of all.
            limits: Per output.
        """
        rows = _Rows(list(self._ties.rows), list(self._ties.columns), list(self._ties.values), list(self._ties.bounds))
        for one, limit in zip(noise, limits, strict=True):
            left = limit - float(self._constant @ one)
            if left <= 0:
                return None
            terms: dict[int, float] = {}
            for variable, point, level in self._noise:
                value = level * float(one[point]) / left
                if value > 1e-6:
                    terms[variable] = min(terms.get(variable, 0.0) + value, BEYOND)
            rows.add(terms, -np.inf, 1.0)
        n = len(self._costs)
        matrix = scipy.sparse.csr_array((rows.values, (rows.rows, rows.columns)), shape=(len(rows.bounds), n))
        low, high = np.array(rows.bounds).T
        found = scipy.optimize.milp(  # nothing is marked as whole: a linear program
            np.array(self._costs) / self._scale,
            bounds=scipy.optimize.Bounds(0.0, 1.0),
            constraints=scipy.optimize.LinearConstraint(matrix, low, high),
            options={"presolve": False},  # takes longer than it saves
        )
        if found.x is None:
            return None
        return self._whole(found.x, noise, limits)

    def _whole(self, x: Floats, noise: Sequence[Floats], limits: Sequence[float]) -> Assignment | None:
        """The cheapest assignment near a solution of the program, lowered as far as the limits allow."""
        ends = [*self._first[1:], self._n_binary]
        shares = [x[a:b] for a, b in zip(self._first, ends, strict=True)]
        row = np.array([int(np.argmax(one)) for one in shares], np.uint8)
        split = sorted((g for g, one in enumerate(shares) if one.max() < WHOLE), key=lambda g: float(shares[g].max()))
        support, size = {}, 1
        for g in split:
            own = np.flatnonzero(shares[g] > SUPPORT)
            if size * len(own) > MOST_ROUNDED:
                row[g] = _finest(self._options.choices[g], own)
            elif len(own) > 1:
                size *= len(own)
                support[g] = own
        rows = np.tile(row, (size, 1))
        if support:
            rows[:, list(support)] = np.stack(np.meshgrid(*support.values(), indexing="ij"), -1).reshape(size, -1)
        best = self._cheapest_row(rows, noise, limits)
        for _ in range(MOST_LOWERED if best is not None else 0):
            assert best is not None
            other = self._cheapest_row(_with_neighbours(best, self._options.choices), noise, limits)
            if other is None or (other == best).all():
                break
            best = other
        return None if best is None else self._options.decode(best)

    def _cheapest_row(self, rows: Indices, noise: Sequence[Floats], limits: Sequence[float]) -> Indices | None:
        """The first of the cheapest rows within the limits."""
        attenuation = self._attenuation.of(rows)
        kept = np.ones(len(rows), np.bool_)
        for one, limit in zip(noise, limits, strict=True):
            kept &= attenuation @ one <= limit
        if not kept.any():
            return None
        fitting = rows[kept]
        found: Indices = fitting[int(np.argmin(self._cost.costs(self.known(fitting))))]
        return found

    def known(self, rows: Indices) -> Indices:
        """Return rows of choices as the cost model numbers precisions."""
        return np.stack([own[column] for own, column in zip(self._known, rows.T, strict=True)], axis=1)

    def _own_noise(self, edge: Edge) -> None:
        assert edge.first is not None
        for i, level in enumerate(edge.attenuation[:, 0]):
            self._noise.append((self._first[edge.first] + i, edge.point, float(level)))

    def _tensor(self, t: int, edges: Sequence[Edge]) -> None:
        """Casts and noise of one tensor."""
        book = self._options.book
        writer = book.network.tensors[t].writer
        participants = dict.fromkeys(([] if writer is None else [writer]) + [g for g, _ in book.network.readers[t]])
        classes = {g: self._classes(t, g) for g in participants}
        free = [g for g in participants if len(classes[g]) > 1]
        size = math.prod(len(classes[g]) for g in free)
        if size > MOST_COMBINATIONS:
            self._crowded(edges, set(free))
            return
        fixed = {g: self._options.choices[g][0] for g in participants if g not in free}
        entries: list[tuple[tuple[int, ...], int]] = []
        for picked in product(*(range(len(classes[g])) for g in free)):
            chosen = {g: classes[g][k][0] for g, k in zip(free, picked, strict=True)}
            precisions = {**fixed, **{g: self._options.choices[g][i] for g, i in chosen.items()}}
            variable = self._variable(float(price(book, t, precisions)), free, classes, picked)
            entries.append((picked, variable))
            for edge in edges:
                level = float(edge.attenuation[_at(edge.first, chosen), _at(edge.second, chosen)])
                if variable < 0:
                    self._constant[edge.point] += level
                else:
                    self._noise.append((variable, edge.point, level))
        if len(free) > 1:
            self._tie(free, classes, entries)

    def _variable(
        self, cost: float, free: Sequence[int], classes: Mapping[int, Sequence[Sequence[int]]], picked: tuple[int, ...]
    ) -> int:
        """The variable that stands for a combination; -1 where there is only one."""
        if not free:
            return -1
        self._costs.append(cost)
        variable = len(self._costs) - 1
        if len(free) == 1:  # a class of one group: tie it to its choices directly
            g = free[0]
            terms = {self._first[g] + i: -1.0 for i in classes[g][picked[0]]}
            self._ties.add({variable: 1.0, **terms}, 0.0, 0.0)
        return variable

    def _tie(
        self,
        free: Sequence[int],
        classes: Mapping[int, Sequence[Sequence[int]]],
        entries: Sequence[tuple[tuple[int, ...], int]],
    ) -> None:
        for position, g in enumerate(free):
            for k, members in enumerate(classes[g]):
                terms = {variable: 1.0 for picked, variable in entries if picked[position] == k}
                terms |= {self._first[g] + i: -1.0 for i in members}
                self._ties.add(terms, 0.0, 0.0)

    def _crowded(self, edges: Sequence[Edge], free: set[int]) -> None:
        """Noise of a tensor with too many participants: by its readers alone, as if its writer were at its best."""
        for edge in edges:
            attenuation = edge.attenuation.min(axis=0)
            if edge.second is None or edge.second not in free:
                self._constant[edge.point] += float(attenuation[0])
                continue
            for i, level in enumerate(attenuation):
                self._noise.append((self._first[edge.second] + i, edge.point, float(level)))

    def _classes(self, t: int, group: int) -> list[list[int]]:
        """Choices of a participant that behave alike at this tensor, as lists of indices."""
        found: dict[object, list[int]] = {}
        for i, precision in enumerate(self._options.choices[group]):
            found.setdefault(behaviour(self._options.book, t, group, precision), []).append(i)
        return list(found.values())


def _at(group: int | None, chosen: Mapping[int, int]) -> int:
    return 0 if group is None else chosen.get(group, 0)


def _finest(own: Sequence[Precision], among: npt.NDArray[np.intp]) -> int:
    """The choice with the finest formats."""
    return int(max(among, key=lambda i: (own[i].activation.rank + own[i].weight.rank, -i)))


def _with_neighbours(row: Indices, choices: Sequence[Sequence[Precision]]) -> Indices:
    """A row, then all that have one group elsewhere: what is finer may be cheaper, too."""
    changes = [(g, i) for g, own in enumerate(choices) for i in range(len(own)) if i != row[g]]
    rows = np.tile(row, (len(changes) + 1, 1))
    for n, (g, i) in enumerate(changes, start=1):
        rows[n, g] = i
    return rows


def raised(precisions: Sequence[Precision], base: Precision) -> tuple[Precision, ...]:
    """Return ``base`` and those precisions that are nowhere below it."""
    above = [p for p in precisions if p is not base and p.activation >= base.activation and p.weight >= base.weight]
    return (base, *above)
