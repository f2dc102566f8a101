"""A model as the user's own loop sees it: ``outputs = run(inputs)``, samples on axis 0 of everything."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from search.arrays import Array
from search.data.fed import Fed
from search.errors import UnsupportedModelError
from search.evaluation.measure import Runnable
from search.metrics.user_metric import Run
from search.runtime.feeding import Feeding


def model_run(session: Runnable, samples: Fed, feeding: Feeding) -> Run:
    """Return ``run(inputs) -> outputs`` of a model.

    Args:
        session: The model.
        samples: Evaluation data: how samples lie in the inputs, and what they share.
        feeding: Samples per run; the user's batches are cut and filled up where the model wants a fixed number.
    """
    names = [name for name, one in samples.layouts.items() if not one.constant]

    def run(inputs: Mapping[str, npt.ArrayLike]) -> dict[str, Array]:
        rows = _rows(inputs, names, samples)
        n = len(next(iter(rows.values())))
        found: dict[str, list[Array]] = {name: [] for name in session.outputs}
        for picked, fresh in feeding.slices(np.arange(n)):
            feeds = samples.feeds({name: rows[name][picked] for name in names})
            try:
                values = session.run(feeds, session.outputs)
            except UnsupportedModelError as error:
                raise ValueError(f"run(inputs) of {n} samples: {error}") from None
            for name, value in values.items():
                found[name].append(feeding.rows(name, value, len(picked), fresh))
        return {name: np.concatenate(values) for name, values in found.items()}

    return run


def _rows(inputs: Mapping[str, npt.ArrayLike], names: list[str], samples: Fed) -> dict[str, Array]:
    """Arrays ``[n, *sample]`` of every input, in the model's types.

    Raises:
        TypeError: If it is no mapping.
        ValueError: If an input is missing or unknown, or they do not have the same number of samples.
    """
    if not isinstance(inputs, Mapping):
        raise TypeError(f"run(inputs) takes a mapping of {', '.join(names)}, not {type(inputs).__name__}")
    if set(inputs) != set(names):
        raise ValueError(f"run(inputs) takes {', '.join(names)}; got {', '.join(map(str, inputs)) or 'none'}")
    rows = {name: np.asarray(inputs[name]).astype(samples.layouts[name].dtype, copy=False) for name in names}
    lengths = {len(one) if one.ndim else 0 for one in rows.values()}
    if len(lengths) != 1 or not lengths.pop():
        raise ValueError("run(inputs) takes at least one sample, as many in every input, on axis 0")
    return rows
