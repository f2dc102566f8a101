"""How many samples each class has, per label array: what an accuracy is an accuracy of."""

from __future__ import annotations

import numpy as np

from search.data.source import SampleSource

MOST_CLASSES = 1000
"""Arrays with more different values hold no classes."""


def class_counts(samples: SampleSource) -> dict[str, dict[str, int]]:
    """Return label array to class to number of samples, for arrays of one whole number per sample."""
    found = {}
    for key in samples.label_keys:
        labels = np.asarray(samples.labels(key))
        if labels.dtype.kind not in "iub" or labels.size != len(labels):
            continue
        classes, counts = np.unique(labels.reshape(-1), return_counts=True)
        if len(classes) <= MOST_CLASSES:
            found[key] = {str(int(one)): int(n) for one, n in zip(classes, counts, strict=True)}
    return found
