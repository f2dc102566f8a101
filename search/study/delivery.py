"""The calibration samples as files of the output directory, for the vendor's tools; one sample per file."""

from __future__ import annotations

import io
from collections.abc import Iterator

import numpy as np

from search.data.order import Subset
from search.data.source import SampleSource
from search.export.calibration_folder import sample_path
from search.study.plan import Finished

RESULT = "result.json"
"""Written last: who sees it sees everything it names."""


def delivered_samples(finished: Finished, calibration: SampleSource) -> SampleSource | None:
    """Return the calibration samples that the files of a study name; None where they name none."""
    export = finished.results.export
    rows = None if export is None else export.value.calibration_rows
    return None if rows is None else Subset(calibration, np.array(rows, np.intp))


def sample_names(samples: SampleSource) -> tuple[str, ...]:
    """Relative paths of the files of ``sample_files``."""
    return tuple(sample_path(name, n) for name in samples.layout for n in range(samples.n_samples))


def sample_files(samples: SampleSource) -> Iterator[tuple[str, bytes]]:
    """Every sample as a ``.npy`` file with a batch axis of 1, as the compiler feeds the model."""
    for n in range(samples.n_samples):
        for name, array in samples.batch(np.array([n])).items():
            buffer = io.BytesIO()
            np.save(buffer, array, allow_pickle=False)
            yield sample_path(name, n), buffer.getvalue()
