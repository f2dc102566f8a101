"""How one sample lies in each model input, said once and used wherever the model is fed.

A model input either has a batch axis (not always axis 0: a recurrent state is ``[layers, batch, hidden]``), or holds
one sample per run without any such axis (six cameras ``[6, 3, H, W]`` of one scene), or has the same value for every
sample (a sample rate, a projection matrix).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from search.arrays import Array, DType


@dataclass(frozen=True, slots=True)
class InputLayout:
    """One model input.

    Attributes:
        name: Its name in the model.
        dtype: Element type the model declares.
        shape: Sizes as declared, or as the job says; None is open.
        axis: Axis along which samples lie; None where a run takes one sample, or where all samples share the value.
        constant: Whether all samples share the value.
    """

    name: str
    dtype: DType
    shape: tuple[int | None, ...]
    axis: int | None = 0
    constant: bool = False

    @property
    def sample_shape(self) -> tuple[int | None, ...]:
        """Shape of one sample, without the batch axis."""
        return self.shape if self.axis is None else _without(self.shape, self.axis)

    @property
    def per_run(self) -> int | None:
        """How many samples every run must hold; None where it may be any number."""
        if self.constant:
            return None
        return 1 if self.axis is None else self.shape[self.axis]

    def feed(self, rows: Array) -> Array:
        """Bring samples ``[n, *sample]`` into the form the model takes; without a batch axis ``n`` must be 1.

        Raises:
            ValueError: If several samples are given where a run takes one.
        """
        if self.axis is not None:
            return rows if self.axis == 0 else np.ascontiguousarray(np.moveaxis(rows, 0, self.axis))
        if len(rows) != 1:
            raise ValueError(f"Input {self.name!r} has no batch axis and takes one sample per run, got {len(rows)}.")
        return np.asarray(rows[0])

    def model_shape(self, sample: tuple[int, ...]) -> tuple[int, ...]:
        """Shape of the input in the smallest run of samples of the shape ``sample``."""
        if self.axis is None:
            return sample
        return (*sample[: self.axis], self.per_run or 1, *sample[self.axis :])


@dataclass(frozen=True, slots=True)
class OutputLayout:
    """Where the samples lie in one model output.

    Attributes:
        axis: Axis along which they lie; None where a run gives one sample's answer without such an axis.
        shared: Whether the output is the same for every sample (anchors, a grid).
    """

    axis: int | None = 0
    shared: bool = False

    def rows(self, value: Array, batch: int) -> Array:
        """Bring the output of a run of ``batch`` samples into the form ``[batch, *]``.

        Raises:
            ValueError: If it does not hold ``batch`` samples.
        """
        if self.shared:
            return np.broadcast_to(value, (batch, *value.shape))
        if self.axis is not None and value.ndim > self.axis and value.shape[self.axis] == batch:
            return np.moveaxis(value, self.axis, 0)
        if batch == 1:
            return value[np.newaxis]
        raise ValueError(f"An output of shape {list(value.shape)} does not hold {batch} samples on axis {self.axis}.")


def _without(shape: tuple[int | None, ...], axis: int) -> tuple[int | None, ...]:
    return (*shape[:axis], *shape[axis + 1 :])
