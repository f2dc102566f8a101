"""The seeded random order of samples, and the part held back for confirmation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from search.arrays import Array
from search.canonical import digest_json
from search.data.source import Indices, SampleLayout, SampleSource, index_list
from search.errors import InvalidDataError

Rows = npt.NDArray[np.intp]
_ORDER_STREAM, _CONFIRMATION_STREAM = 0, 1


def sample_order(n_samples: int, *, seed: int) -> Rows:
    """Return the numbers ``0 .. n_samples - 1`` in an order that only ``seed`` and ``n_samples`` decide."""
    return np.random.default_rng([seed, _ORDER_STREAM]).permutation(n_samples).astype(np.intp)


@dataclass(frozen=True, eq=False)
class Split:
    """Two sets without a common sample, each ascending."""

    evaluation: Rows
    confirmation: Rows


def split_confirmation(n_samples: int, *, share: float, seed: int) -> Split:
    """Hold back ``round_half_even(n_samples * share)`` samples, at least one, chosen at random by ``seed``.

    Args:
        n_samples: Samples in the evaluation set.
        share: In (0, 1).
        seed: Seed of the study; the choice does not depend on ``sample_order``.

    Raises:
        InvalidDataError: If nothing would remain to evaluate.
    """
    n_held = max(1, round(n_samples * share))
    if n_held >= n_samples:
        raise InvalidDataError(
            f"data.confirmation_share {share:g} holds back {n_held} of {n_samples} evaluation samples and "
            f"leaves none. Lower it."
        )
    order = np.random.default_rng([seed, _CONFIRMATION_STREAM]).permutation(n_samples).astype(np.intp)
    return Split(evaluation=np.sort(order[n_held:]), confirmation=np.sort(order[:n_held]))


@dataclass(frozen=True, eq=False)
class Subset:
    """Some samples of a source, in the order of ``rows``."""

    source: SampleSource
    rows: Rows

    @property
    def name(self) -> str:
        """What the user knows the set by."""
        return self.source.name

    @property
    def digest(self) -> str:
        """Digest of the source and of which samples are taken."""
        return digest_json({"source": self.source.digest, "rows": self.rows.tolist()})

    @property
    def n_samples(self) -> int:
        """Number of samples."""
        return len(self.rows)

    @property
    def layout(self) -> dict[str, SampleLayout]:
        """Type and shape of one sample, per input."""
        return dict(self.source.layout)

    @property
    def label_keys(self) -> tuple[str, ...]:
        """Names of the label arrays."""
        return self.source.label_keys

    def batch(self, indices: Indices) -> dict[str, Array]:
        """Return the inputs of these samples of the subset."""
        return self.source.batch(self.rows[index_list(indices, self.n_samples)])

    def labels(self, key: str) -> Array:
        """Return the labels of the subset; the source's labels must have one entry per sample."""
        return self.source.labels(key)[self.rows]
