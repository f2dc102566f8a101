"""How samples go through a model: how many at a time, and how the pieces are put together.

Found and proven by ``search.runtime.arranging``: a model either takes any number of samples, or a fixed number
(often 1) in every run.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from search.arrays import Array
from search.data.layout import OutputLayout
from search.spec.output_part import read_part

BATCH = 64  # larger batches are slower per sample: intermediate tensors leave the cache
_FIRST = OutputLayout()


@dataclass(frozen=True, slots=True)
class Feeding:
    """Samples per run.

    Attributes:
        batch: Samples fed at once; the last run of a dynamic model may hold fewer.
        fixed: Whether every run must hold exactly ``batch`` samples (the last one is filled by repetition).
        outputs: Where the samples lie in model outputs; on axis 0 where nothing is said.
    """

    batch: int
    fixed: bool
    outputs: Mapping[str, OutputLayout] = field(default_factory=dict)

    def slices(self, indices: npt.NDArray[np.int64]) -> Iterator[tuple[npt.NDArray[np.int64], int]]:
        """Cut sample indices into runs ``(indices, n)``.

        Only the first ``n`` samples of a run count: the last run of a fixed model is filled up with its last sample.
        """
        for start in range(0, len(indices), self.batch):
            part = indices[start : start + self.batch]
            fresh = len(part)
            if self.fixed and fresh < self.batch:
                part = np.concatenate([part, np.repeat(part[-1:], self.batch - fresh)])
            yield part, fresh

    def rows(self, name: str, value: Array, batch: int, fresh: int) -> Array:
        """Bring one output of a run of ``batch`` samples into the form ``[fresh, *]``, and take the part it names.

        Raises:
            ValueError: If it does not hold the samples.
        """
        part = read_part(name)
        return part.take(self.outputs.get(part.output, _FIRST).rows(value, batch)[:fresh])
