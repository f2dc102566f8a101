"""What one range of samples says about a metric, small enough to be stored as JSON and merged later.

A part holds either one entry per sample (``values``) or numbers that are added up (``sums``), never both.
Merging concatenates the entries in order, so a metric gives the same value for one part over all samples
and for the parts of any split.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
from pydantic import PlainSerializer, PlainValidator

from search.arrays import Array


@dataclass(frozen=True, eq=False)
class Part:
    """Result of a metric on one range of samples.

    Attributes:
        n: Number of samples.
        values: One entry per sample: bool ``[n]`` where a sample is right or wrong, else float32 ``[n]`` or ``[n, k]``,
            or objects ``[n]``: records of a metric of the user's own, as JSON reads them. Numbers may be NaN or
            infinite where the outputs were; records hold neither.
        sums: float64 of any shape, added up over samples; holds whole counts, so the sum is exact in any order.
    """

    n: int
    values: Array | None = None
    sums: npt.NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        if (self.values is None) == (self.sums is None):
            raise ValueError("A part holds either values or sums.")
        if self.values is not None and len(self.values) != self.n:
            raise ValueError(f"A part of {self.n} samples has {len(self.values)} values.")

    def to_json(self) -> dict[str, Any]:
        """Return ``{n, bits}``, ``{n, f32, shape}``, ``{n, f64, shape}`` or ``{n, records}``: base64, exact.

        Numbers are little endian, records are compressed JSON.
        """
        if self.sums is not None:
            return {"n": self.n, "f64": _encode(self.sums.astype("<f8")), "shape": list(self.sums.shape)}
        assert self.values is not None
        if self.values.dtype == np.object_:
            text = json.dumps(self.values.tolist(), allow_nan=False, separators=(",", ":"))
            return {"n": self.n, "records": base64.b64encode(zlib.compress(text.encode())).decode("ascii")}
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
        if "records" in data:
            found = record_array(json.loads(zlib.decompress(_decode(data["records"]))))
            return Part(n, values=found)
        raise ValueError(f"A part needs one of bits, f32, f64, records; got {sorted(data)}.")

    def first(self, n: int) -> Part:
        """Return the part of the first ``n`` samples.

        Raises:
            ValueError: If this part holds sums, or fewer samples.
        """
        if self.values is None or n > self.n:
            raise ValueError(f"Cannot take {n} samples of a part of {self.n} without values for all of them.")
        return Part(n, values=self.values[:n])


def record_array(records: Sequence[Any]) -> npt.NDArray[np.object_]:
    """Return records as objects ``[n]``, whatever they are; lists stay lists."""
    found = np.empty(len(records), np.object_)
    for row, record in enumerate(records):
        found[row] = record
    return found


def is_finite(entries: Array) -> bool:
    """Return whether no entry is NaN or infinite; records were looked through when they were taken."""
    return entries.dtype == np.object_ or bool(np.isfinite(entries).all())


StoredPart = Annotated[Part, PlainValidator(Part.from_json), PlainSerializer(Part.to_json)]
"""A part in its compact JSON form."""


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


def _encode(array: Array) -> str:
    return base64.b64encode(array.tobytes()).decode("ascii")


def _decode(text: str) -> bytes:
    return base64.b64decode(text, validate=True)
