"""The calibration samples as files of the output directory, for the vendor's tools; one sample per file."""

from __future__ import annotations

import io
from collections.abc import Iterator

import numpy as np

from search.data.source import SampleSource
from search.export.calibration_folder import sample_path

RESULT = "result.json"
"""Written last: who sees it sees everything it names."""


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
