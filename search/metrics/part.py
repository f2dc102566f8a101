"""What one range of samples says about a metric, small enough to be stored as JSON and merged later.

A part holds either one entry per sample (``values``) or numbers that are added up (``sums``), never both.
Merging concatenates the entries in order, so a metric gives the same value for one part over all samples
and for the parts of any split.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, eq=False)
class Part:
    """Result of a metric on one range of samples.

    Attributes:
        n: Number of samples.
        values: One entry per sample: bool ``[n]`` where a sample is right or wrong, else float32 ``[n]`` or ``[n, k]``.
            May hold NaN or infinities where the outputs did.
        sums: float64 of any shape, added up over samples; holds whole counts, so the sum is exact in any order.
    """

    n: int
    values: npt.NDArray[Any] | None = None
    sums: npt.NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        if (self.values is None) == (self.sums is None):
            raise ValueError("A part holds either values or sums.")
        if self.values is not None and len(self.values) != self.n:
            raise ValueError(f"A part of {self.n} samples has {len(self.values)} values.")

    def to_json(self) -> dict[str, Any]:
        """Return ``{n, bits}``, ``{n, f32, shape}`` or ``{n, f64, shape}``: base64, little endian, exact."""
        if self.sums is not None:
            return {"n": self.n, "f64": _encode(self.sums.astype("<f8")), "shape": list(self.sums.shape)}
        assert self.values is not None
        if self.values.dtype == np.bool_:
            return {"n": self.n, "bits": _encode(np.packbits(self.values))}
        return {"n": self.n, "f32": _encode(self.values.astype("<f4")), "shape": list(self.values.shape)}

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Part:
        """Read what ``to_json`` wrote.

        Raises:
            ValueError: If a key is missing or the bytes do not fit the counts.
        """
        n = data["n"]
        if "bits" in data:
            bits = np.frombuffer(_decode(data["bits"]), np.uint8)
            if len(bits) != (n + 7) // 8:
                raise ValueError(f"{n} samples need {(n + 7) // 8} bytes of bits, got {len(bits)}.")
            return Part(n, values=np.unpackbits(bits, count=n).astype(np.bool_))
        if "f32" in data:
            flat = np.frombuffer(_decode(data["f32"]), "<f4").astype(np.float32)
            return Part(n, values=flat.reshape(data["shape"]))
        if "f64" in data:
            sums = np.frombuffer(_decode(data["f64"]), "<f8").astype(np.float64)
            return Part(n, sums=sums.reshape(data["shape"]))
        raise ValueError(f"A part needs one of bits, f32, f64; got {sorted(data)}.")

    def first(self, n: int) -> Part:
        """Return the part of the first ``n`` samples.

        Raises:
            ValueError: If this part holds sums, or fewer samples.
        """
        if self.values is None or n > self.n:
            raise ValueError(f"Cannot take {n} samples of a part of {self.n} without values for all of them.")
        return Part(n, values=self.values[:n])


def merge(parts: Sequence[Part]) -> Part:
    """Return one part for all samples of ``parts``, in order.

    Sums may differ in length of the last axis (a range that saw fewer classes); the missing entries are 0.

    Raises:
        ValueError: If there is no part, or parts of different metrics are mixed.
    """
    if not parts:
        raise ValueError("There is no part to merge.")
    if len(parts) == 1:
        return parts[0]
    n = sum(part.n for part in parts)
    values = [part.values for part in parts if part.values is not None]
    if len(values) == len(parts):
        if len({(value.dtype, value.shape[1:]) for value in values}) > 1:
            raise ValueError("Parts of different metrics cannot be merged.")
        return Part(n, values=np.concatenate(values))
    sums = [part.sums for part in parts if part.sums is not None]
    if len(sums) != len(parts):
        raise ValueError("Parts of different metrics cannot be merged.")
    return Part(n, sums=_padded_total(sums))


def _padded_total(sums: Sequence[npt.NDArray[np.float64]]) -> npt.NDArray[np.float64]:
    width = max(one.shape[-1] for one in sums)
    total = np.zeros((*sums[0].shape[:-1], width), np.float64)
    for one in sums:
        total[..., : one.shape[-1]] += one
    return total


def _encode(array: npt.NDArray[Any]) -> str:
    return base64.b64encode(array.tobytes()).decode("ascii")


def _decode(text: str) -> bytes:
    return base64.b64decode(text, validate=True)
