"""Contract tests for plug-ins: subclass one in a test module, give it samples, and pytest runs what must hold.

class TestMine(MetricContract):
metric = staticmethod(my_metric)
outputs = {"logits": np.random.default_rng(0).normal(size=(20, 10))}
labels = {"labels": np.arange(20) % 10}
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from search.metrics.metric import Metric
from search.metrics.part import Part, merge
from search.metrics.recorded import measure_batch, recorded_metric
from search.metrics.user_metric import batch_labels, user_metric

__all__ = ["MetricContract"]


class MetricContract:
    """What a metric of records must keep, on samples of yours.

    Attributes:
        metric: A function ``(outputs, labels)``, or a ``Metric``.
        outputs: Output name to array ``[n, ...]``, at least two samples.
        labels: Label key to array ``[n, ...]``; objects ``[n]``, an array each, where samples differ in size.
    """

    metric: ClassVar[Any]
    outputs: ClassVar[Mapping[str, npt.NDArray[Any]]]
    labels: ClassVar[Mapping[str, npt.NDArray[Any]]] = {}

    def test_it_gives_a_finite_value_of_one_record_per_sample(self) -> None:
        """Too few records, NaN and what is no JSON end a search."""
        value = self._metric.value([self._part(np.arange(self._n))])
        assert value is not None, self._metric.result([self._part(np.arange(self._n))]).reason
        assert math.isfinite(value)

    def test_a_record_does_not_depend_on_the_other_samples(self) -> None:
        """A search runs samples in batches of its own."""
        whole = self._part(np.arange(self._n))
        alone = merge([self._part(np.array([row])) for row in range(self._n)])
        assert whole.to_json() == alone.to_json()

    def test_the_value_does_not_depend_on_the_order(self) -> None:
        """A search runs samples in a seeded order."""
        backwards = self._metric.value([self._part(np.arange(self._n)[::-1])])
        assert backwards is not None
        assert math.isclose(backwards, self._metric.value([self._part(np.arange(self._n))]) or 0.0, rel_tol=1e-9)

    def test_records_that_were_stored_give_the_same_value(self) -> None:
        """A run that goes on reads records back from JSON."""
        part = self._part(np.arange(self._n))
        assert self._metric.value([Part.from_json(part.to_json())]) == self._metric.value([part])

    @property
    def _metric(self) -> Metric:
        user = user_metric(type(self).metric, name=type(self).__name__)
        assert user.evaluate is None, "a whole loop gives no records"
        return recorded_metric(type(self).__name__, user, user.direction or "higher")

    @property
    def _n(self) -> int:
        return len(next(iter(self.outputs.values())))

    def _part(self, rows: npt.NDArray[np.int64]) -> Part:
        def give(picked: Sequence[int]) -> tuple[dict[str, npt.NDArray[Any]], dict[str, Any]]:
            taken = rows[np.asarray(picked, np.int64)]
            return {name: values[taken] for name, values in self.outputs.items()}, batch_labels(self.labels, taken)

        return measure_batch(self._metric, len(rows), give)
