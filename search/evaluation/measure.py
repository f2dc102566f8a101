"""Run a model over a range of samples and keep what decides: metric parts, output errors, a digest of the bits."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from search.arrays import Array
from search.errors import UnsupportedModelError
from search.metrics.custom import MetricFailedError
from search.metrics.metric import Metric
from search.metrics.output_error import output_errors
from search.metrics.part import Part, merge
from search.metrics.recorded import measure_batch, measure_loop
from search.metrics.rows import squeezed
from search.metrics.user_metric import Run, batch_labels
from search.runtime.feeding import Feeding
from search.spec.output_part import output_of

Indices = npt.NDArray[np.int64]


class Runnable(Protocol):
    """A model that runs: a session of the runtime, or an integer program."""

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of all outputs."""
        ...

    def run(self, feeds: Mapping[str, Array], outputs: Sequence[str] | None = None) -> dict[str, Array]:
        """Run once and return the named outputs."""
        ...


class Samples(Protocol):
    """Inputs and labels by sample index."""

    def batch(self, indices: Indices) -> Mapping[str, Array]:
        """Input name to array with the samples ``indices`` on axis 0."""
        ...

    @property
    def label_keys(self) -> tuple[str, ...]:
        """Names of the label arrays."""
        ...

    def labels(self, key: str) -> Array:
        """All labels under ``key``, samples on axis 0; objects where they differ in size."""
        ...


@dataclass(frozen=True)
class Use:
    """One metric on the outputs it reads.

    Attributes:
        id: ``name@output``.
        metric: What is measured.
        outputs: Model outputs it reads, or a part of one (``y[:, 4:]``); several for Python metrics only.
        labels: Label key; None for fidelity metrics, and for those of the user's own that read all labels.
    """

    id: str
    metric: Metric
    outputs: tuple[str, ...]
    labels: str | None

    @property
    def output(self) -> str:
        """The one output that a built-in metric reads."""
        return self.outputs[0]

    def label_keys(self, samples: Samples) -> tuple[str, ...]:
        """Label arrays it reads."""
        if self.labels is not None:
            return (self.labels,)
        return () if self.metric.user is None else samples.label_keys


@dataclass(frozen=True, eq=False)
class Measured:
    """What one range gave.

    Attributes:
        parts: Metric id to part, samples in the order they were run.
        errors: Output name to error name to float32 ``[n]``; empty unless asked for.
        digest: SHA-256 over the bytes of the outputs that a metric reads, run by run.
    """

    parts: Mapping[str, Part]
    errors: Mapping[str, Mapping[str, npt.NDArray[np.float32]]]
    digest: str


Reference = Callable[[Indices], Mapping[str, Array]]
"""Float outputs of the named samples."""
Sink = Callable[[Indices, Mapping[str, Array]], None]
"""Takes the outputs of one run."""


def runs(
    session: Runnable, samples: Samples, feeding: Feeding, indices: Indices, outputs: Sequence[str]
) -> Iterator[tuple[Indices, dict[str, Array]]]:
    """Yield ``(sample indices, outputs)`` run by run; every output has these samples on axis 0.

    Raises:
        UnsupportedModelError: If an output has no sample axis.
    """
    for wanted, fresh in feeding.slices(indices):
        values = session.run(samples.batch(wanted), outputs)
        yield (
            wanted[:fresh],
            {name: _by_sample(feeding, name, value, len(wanted), fresh) for name, value in values.items()},
        )


def outputs_of(
    session: Runnable, samples: Samples, feeding: Feeding, indices: Indices, names: Sequence[str]
) -> dict[str, Array]:
    """Outputs ``names`` of the samples ``indices``, these on axis 0."""
    found = [values for _, values in runs(session, samples, feeding, indices, names)]
    return {name: found[0][name] if len(found) == 1 else np.concatenate([one[name] for one in found]) for name in names}


def measure(
    session: Runnable,
    samples: Samples,
    feeding: Feeding,
    indices: Indices,
    *,
    uses: Sequence[Use],
    reference: Reference | None,
    errors_of: Sequence[str] = (),
    transforms: Mapping[str, Callable[[Array], Array]] | None = None,
    sink: Sink | None = None,
    loop: Run | None = None,
) -> Measured:
    """Measure every metric of ``uses`` on ``indices``, in this order.

    Args:
        session: The model.
        samples: The evaluation data.
        feeding: Samples per run.
        indices: Which samples.
        uses: Metrics.
        reference: Float outputs, or None while the float model itself is measured (it is then its own reference).
        errors_of: Values whose per-sample errors are kept.
        transforms: Value name to what is applied to it before its error is taken.
        sink: Called with the sample indices and outputs of every run.
        loop: The model for metrics that loop over it themselves; None where ``indices`` are not the last ones.

    Raises:
        MetricFailedError: If a metric of the user's own fails; names the sample.
    """
    delivered = session_outputs(session, uses)
    read = [name for use in uses for name in use.outputs]
    outputs = tuple(dict.fromkeys([*delivered, *read, *errors_of]))
    labels = {key: samples.labels(key) for use in uses for key in use.label_keys(samples)}
    parts: dict[str, list[Part]] = {use.id: [] for use in uses}
    errors: dict[str, list[Mapping[str, Array]]] = {name: [] for name in errors_of}
    digest = hashlib.sha256()
    for batch, values in runs(session, samples, feeding, indices, outputs):
        exact = values if reference is None else reference(batch)
        if sink is not None:
            sink(batch, values)
        for name in delivered:
            digest.update(np.ascontiguousarray(values[name]).tobytes())
        for use in uses:
            taken = {key: labels[key] for key in use.label_keys(samples)}
            parts[use.id].append(_part(use, values, exact, taken, batch))
        for name in errors_of:
            change = (transforms or {}).get(name, np.asarray)
            found = comparable(values[name], exact[name])
            errors[name].append(output_errors(change(found), change(exact[name])))
    for use in uses:
        if _is_loop(use):
            parts[use.id].append(Part(0, sums=measure_loop(use.metric, loop)))
    return Measured(
        parts={name: merge(found) for name, found in parts.items()},
        errors={
            name: {key: np.concatenate([one[key] for one in found]) for key in found[0]}
            for name, found in errors.items()
        },
        digest=digest.hexdigest(),
    )


def comparable(values: Array, exact: Array) -> Array:
    """Return ``values``, or NaN in the shape of ``exact`` where sizes differ: another number of results is no result.

    Args:
        values: Outputs of a candidate ``[n, *]``.
        exact: Float outputs of the same samples.
    """
    if values.shape == exact.shape or squeezed(values.shape) == squeezed(exact.shape):
        return values
    return np.full(exact.shape, np.nan, np.float32)


def check_sizes(name: str, shape: tuple[int, ...], other: tuple[int, ...]) -> None:
    """Refuse an output whose sizes differ from sample to sample although the inputs have one size.

    Args:
        name: The output.
        shape: What one sample gave, without the sample axis.
        other: What another one gave.

    Raises:
        UnsupportedModelError: If they differ.
    """
    if shape != other:
        raise UnsupportedModelError(
            f"Output {name!r} is {list(shape)} for one sample and {list(other)} for another: how many results it has "
            "depends on the data (NonMaxSuppression, NonZero and the like), so there is nothing to compare number by "
            "number. Put the goal on an output that stands before it, or export the model without that part."
        )


def _part(
    use: Use, values: Mapping[str, Array], exact: Mapping[str, Array], labels: Mapping[str, Array], batch: Indices
) -> Part:
    """The part of one run.

    Raises:
        MetricFailedError: Names the sample.
    """
    metric = use.metric
    if _is_loop(use):
        return Part(len(batch), sums=measure_loop(metric, None))
    try:
        if metric.user is None:
            targets = None if use.labels is None else labels[use.labels][batch]
            float_rows = exact[use.output]
            return metric.measure(comparable(values[use.output], float_rows), float_rows, targets)

        def give(rows: Sequence[int]) -> tuple[dict[str, Array], dict[str, object]]:
            picked = np.asarray(rows, np.int64)
            return {name: values[name][picked] for name in use.outputs}, batch_labels(labels, batch[picked])

        return measure_batch(metric, len(batch), give)
    except MetricFailedError as error:
        where = "" if error.row is None else f" (evaluation sample {int(batch[error.row])})"
        raise MetricFailedError(f"{error}{where}.", error.row) from None


def _is_loop(use: Use) -> bool:
    return use.metric.user is not None and use.metric.user.evaluate is not None


def session_outputs(session: Runnable, uses: Sequence[Use]) -> tuple[str, ...]:
    """Outputs to fetch: those a metric reads, in the model's order."""
    wanted = {output_of(name) for use in uses for name in use.outputs}
    return tuple(name for name in session.outputs if name in wanted)


def _by_sample(feeding: Feeding, name: str, value: Array, batch: int, fresh: int) -> Array:
    try:
        return feeding.rows(name, value, batch, fresh)
    except ValueError:
        raise UnsupportedModelError(
            f"Output {name!r} has shape {list(value.shape)} for {batch} samples: it has no sample axis. "
            "Export the model with the batch as an axis of every output, or with a fixed batch of 1."
        ) from None
