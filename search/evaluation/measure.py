"""Run a model over a range of samples and keep what decides: metric parts, output errors, a digest of the bits."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from search.errors import UnsupportedModelError
from search.metrics.custom import MetricFailedError
from search.metrics.metric import Metric
from search.metrics.output_error import output_errors
from search.metrics.part import Part, merge
from search.runtime.feeding import Feeding

Array = npt.NDArray[Any]
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

    def labels(self, key: str) -> Array:
        """All labels under ``key``, samples on axis 0."""
        ...


@dataclass(frozen=True)
class Use:
    """One metric on one output.

    Attributes:
        id: ``name@output``.
        metric: What is measured.
        output: Model output it reads.
        labels: Label key, or None for fidelity metrics.
    """

    id: str
    metric: Metric
    output: str
    labels: str | None


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
    """
    delivered = session_outputs(session, uses)
    outputs = tuple(dict.fromkeys([*delivered, *errors_of]))
    labels = {use.labels: samples.labels(use.labels) for use in uses if use.labels is not None}
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
            targets = None if use.labels is None else labels[use.labels][batch]
            parts[use.id].append(_part(use, values[use.output], exact[use.output], targets, batch))
        for name in errors_of:
            change = (transforms or {}).get(name, np.asarray)
            errors[name].append(output_errors(change(values[name]), change(exact[name])))
    return Measured(
        parts={name: merge(found) for name, found in parts.items()},
        errors={
            name: {key: np.concatenate([one[key] for one in found]) for key in found[0]}
            for name, found in errors.items()
        },
        digest=digest.hexdigest(),
    )


def _part(use: Use, outputs: Array, exact: Array, targets: Array | None, batch: Indices) -> Part:
    try:
        return use.metric.measure(outputs, exact, targets)
    except MetricFailedError as error:
        sample = int(batch[error.row])
        raise MetricFailedError(f"{error} (evaluation sample {sample}).", error.row) from None


def session_outputs(session: Runnable, uses: Sequence[Use]) -> tuple[str, ...]:
    """Outputs to fetch: those a metric reads, in the model's order."""
    wanted = {use.output for use in uses}
    return tuple(name for name in session.outputs if name in wanted)


def _by_sample(feeding: Feeding, name: str, value: Array, batch: int, fresh: int) -> Array:
    try:
        return feeding.rows(name, value, batch, fresh)
    except ValueError:
        raise UnsupportedModelError(
            f"Output {name!r} has shape {list(value.shape)} for {batch} samples: it has no sample axis. "
            "Export the model with the batch as an axis of every output, or with a fixed batch of 1."
        ) from None
