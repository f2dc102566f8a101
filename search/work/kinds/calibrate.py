"""``calibrate``: every calibration method's ranges, from the histograms alone.

Where the number of samples is searched, the ranges of every count are derived, too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from search.calibration.collect import Collected
from search.calibration.grids import exact_ends, integer_grid
from search.calibration.ranges import Ranges, derive_ranges
from search.canonical import Json, digest_bytes
from search.encoding import decoded
from search.precision import Format
from search.quant.grid import ScaleRule
from search.spec.job import InputSettings
from search.tasks import Kind
from search.work.arrays import load_arrays, save_arrays
from search.work.fixing import input_tensors
from search.work.item_runner import ItemRunner, Raw
from search.work.kinds.collect import Histograms

KIND = Kind(name="calibrate", label="derive ranges", doing="calibrating", phase="baseline")
RANGES = "ranges"
"""Blob: ranges of every method."""


def ranges_of(samples: int) -> str:
    """Name of the blob with the ranges of one sample count."""
    return f"{RANGES}:{samples}"


@dataclass(frozen=True, kw_only=True)
class WholeInput:
    """A float input that held whole numbers in 0..255 or -128..127, and that nobody decided on.

    Attributes:
        name: Model input.
        tensors: Tensors that hold it.
    """

    name: str
    tensors: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class SizeRanges:
    """Ranges of one sample count.

    Attributes:
        samples: How many.
        methods: 8-bit method to a digest of its ranges, so that equal ones are evaluated once; None where it failed.
    """

    samples: int
    methods: Mapping[str, str | None]


@dataclass(frozen=True, kw_only=True)
class Calibrated:
    """Ranges, described.

    Attributes:
        samples: How many samples they come from.
        failed: Method and width that gave some tensor no range.
        extremes: Tensor index to the smallest and largest value seen, None where that is not finite.
        nonfinite: Tensors that held values that are not finite.
        whole_inputs: Inputs that may be kept as whole numbers; empty where that is not searched.
        sizes: Ranges by sample count; empty where that is not searched.
    """

    samples: int
    failed: tuple[tuple[str, int], ...]
    extremes: tuple[tuple[float | None, float | None], ...]
    nonfinite: tuple[int, ...]
    whole_inputs: tuple[WholeInput, ...]
    sizes: tuple[SizeRanges, ...]


@dataclass(frozen=True, kw_only=True)
class Decided:
    """What the user decided about single tensors before calibration.

    Attributes:
        inputs: Model input to what the spec says of it; one that is kept exact has the ends of its integers.
        overrides: Tensors whose calibration the spec fixes.
        tensor_overrides: Digest of the file of tensor overrides.
    """

    inputs: Mapping[str, InputSettings]
    overrides: tuple[str, ...]
    tensor_overrides: str | None


@dataclass(frozen=True, kw_only=True)
class Calibrate:
    """Derive ranges; no sample is run.

    Attributes:
        histograms: Blob of the histograms.
        collected: What they are of.
        samples: How many samples count.
        methods: Method and width, each pair that may be used.
        rule: How ranges become scales.
        sizes: Sample counts to choose among; empty where their number is not searched.
        decided: What the user decided about tensors.
    """

    kind: ClassVar[Kind] = KIND
    histograms: str
    collected: Histograms
    samples: int
    methods: tuple[tuple[str, int], ...]
    rule: str
    sizes: tuple[int, ...]
    decided: Decided

    def read(self, data: Json) -> Calibrated:
        """Read a stored result."""
        return decoded(Calibrated, data)

    def run(self, runner: ItemRunner) -> Raw[Calibrated]:
        """Derive the ranges of the whole set, and of each sample count."""
        arrays = load_arrays(runner.files.get(self.histograms))
        collected = Collected.from_arrays(arrays, bounds=self.collected.bounds, integral=self.collected.integral)
        ranges = self._ranges(runner, collected)
        prefixes = {size: self._prefix(collected, size, ranges) for size in self.sizes}
        value = Calibrated(
            samples=self.samples,
            failed=tuple((method, bits) for method, bits in self.methods if ranges.failed(method, bits)),
            extremes=tuple((_short(low), _short(high)) for low, high in ranges.extremes),
            nonfinite=tuple(int(t) for t in np.flatnonzero(ranges.nonfinite)),
            whole_inputs=_whole_inputs(runner, ranges) if self.sizes else (),
            sizes=tuple(SizeRanges(samples=size, methods=_described(one)) for size, one in prefixes.items()),
        )
        blobs = {RANGES: save_arrays(ranges.to_arrays())}
        return Raw(value, blobs | {ranges_of(size): save_arrays(one.to_arrays()) for size, one in prefixes.items()})

    def _ranges(self, runner: ItemRunner, collected: Collected) -> Ranges:
        """Ranges of the whole set; inputs that are kept exact have the ends of their integers."""
        network = runner.loaded.structure.network
        ranges = derive_ranges(
            collected.at(self.samples),
            list(self.methods),
            rule=ScaleRule(self.rule),
            integral=collected.integral,
            lowest=collected.masked,
        )
        ranges = replace(ranges, masks=collected.masks)
        for tensor, fixed in runner.fixed.items():
            if fixed.exact:
                exact_ends(network, ranges, tensor)
        return ranges

    def _prefix(self, collected: Collected, size: int, whole: Ranges) -> Ranges:
        """Ranges of the first ``size`` samples; what is not a method's choice stays that of the whole set."""
        ranges = derive_ranges(collected.at(size), list(whole.by_method), rule=ScaleRule(self.rule))
        return replace(whole, by_method=ranges.by_method)


def _described(ranges: Ranges) -> dict[str, str | None]:
    """8-bit method to a digest of its ranges; None where it failed."""
    return {
        method: None if ranges.failed(method, bits) else digest_bytes(np.ascontiguousarray(found).tobytes())
        for (method, bits), found in ranges.by_method.items()
        if bits == 8
    }


def _whole_inputs(runner: ItemRunner, ranges: Ranges) -> tuple[WholeInput, ...]:
    network = runner.loaded.structure.network
    decided = {*runner.fixed, *(tensor for tensor, _ in runner.stated.scales)}
    found = []
    for value in runner.loaded.user.inputs:
        tensors = input_tensors(runner.loaded, value.name)
        free = value.name not in runner.problem.spec.inputs and not decided.intersection(tensors)
        integers = any(network.tensors[t].integer_input is not None for t in tensors)  # kept exact in any case
        if tensors and free and not integers and all(_is_whole(ranges, t) for t in tensors):
            found.append(WholeInput(name=value.name, tensors=tensors))
    return tuple(found)


def _is_whole(ranges: Ranges, tensor: int) -> bool:
    """Whether 8 bit hold every value seen exactly."""
    low, high = ranges.extremes[tensor]
    if not (ranges.integral[tensor] and np.isfinite(low) and np.isfinite(high)):
        return False
    return integer_grid((int(low), int(high)), Format.INT8) is not None


def _short(value: float) -> float | None:
    """The float32 nearest to ``value`` as a short decimal; None for NaN."""
    return float(str(np.float32(value))) if np.isfinite(value) else None
