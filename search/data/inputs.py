"""What the model wants to be fed, and how a shape reads in a message."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from search.arrays import DType


@dataclass(frozen=True, slots=True)
class InputInfo:
    """One model input.

    Attributes:
        name: Its name in the model.
        dtype: Element type the model declares.
        shape: Sizes with the batch axis first; None is a size not known before running. A scalar input has no axis.
        names: What the model calls its open sizes, per axis; empty where it says nothing.
    """

    name: str
    dtype: DType
    shape: tuple[int | None, ...]
    names: tuple[str, ...] = ()

    @property
    def sample_shape(self) -> tuple[int | None, ...]:
        """Shape of one sample: without the batch axis."""
        return self.shape[1:]


def shape_text(shape: Sequence[int | None], *, first: str | None = None) -> str:
    """Return ``[N, 3, ?]``: None as ``?``, and ``first`` before everything if given."""
    sizes = ["?" if size is None else str(size) for size in shape]
    return f"[{', '.join([first, *sizes] if first else sizes)}]"
