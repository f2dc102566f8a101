"""How samples go through a model: how many at a time, and how the pieces are put together.

A model either takes any number of samples on axis 0 of every input, or a fixed number (often 1). Which one holds is
read from the declared shapes and then tried: a model whose outputs do not grow with the batch is fed one sample at a
time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from search.errors import UnsupportedModelError
from search.runtime.session import Session

Array = npt.NDArray[Any]
BATCH = 64  # larger batches are slower per sample: intermediate tensors leave the cache


@dataclass(frozen=True, slots=True)
class Feeding:
    """Samples per run.

    Attributes:
        batch: Samples fed at once; the last run of a dynamic model may hold fewer.
        fixed: Whether every run must hold exactly ``batch`` samples (the last one is filled by repetition).
    """

    batch: int
    fixed: bool

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


def probe_feeding(
    session: Session, declared: Mapping[str, Sequence[int | None]], sample: Mapping[str, Array]
) -> Feeding:
    """Find out how to feed a model.

    Args:
        session: The user's model.
        declared: Input name to declared shape; None where dynamic.
        sample: Input name to at least two samples where the data has them.

    Raises:
        UnsupportedModelError: If inputs want different numbers of samples, or not even one sample runs.
    """
    fixed = {shape[0] for shape in declared.values() if shape and shape[0] is not None}
    if fixed:
        if len(fixed) > 1:
            raise UnsupportedModelError(
                f"The inputs have different fixed batch sizes {sorted(fixed)}; export the model with one."
            )
        return Feeding(batch=int(fixed.pop()), fixed=True)
    two = {name: array[:2] for name, array in sample.items()}
    if any(len(array) < 2 for array in two.values()):
        return Feeding(batch=1, fixed=True)
    one = session.run({name: array[:1] for name, array in two.items()})
    try:
        both = session.run(two)
    except UnsupportedModelError:
        return Feeding(batch=1, fixed=True)
    grows = all(both[name].shape == (2, *one[name].shape[1:]) for name in one)
    same = grows and all(_close(both[name][:1], one[name]) for name in one)
    return Feeding(batch=BATCH, fixed=False) if same else Feeding(batch=1, fixed=True)


def _close(a: Array, b: Array) -> bool:
    if not np.issubdtype(a.dtype, np.floating):
        return bool(np.array_equal(a, b))
    return bool(np.allclose(a, b, rtol=1e-3, atol=1e-4, equal_nan=True))
