"""``collect``: histograms of every tensor in one pass over the calibration samples.

The pass knows no target and no calibration method, so targets share it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from search.calibration.collect import collect
from search.canonical import Json
from search.data.order import Subset, sample_order
from search.data.source import SampleSource
from search.encoding import decoded
from search.tasks import Kind
from search.work.arrays import save_arrays
from search.work.conditions import Reading
from search.work.item_runner import ItemRunner, Raw

KIND = Kind(name="collect", label="run calibration samples", doing="calibrating", phase="baseline")
HISTOGRAMS = "histograms"
"""Blob: histograms of every tensor, stretch by stretch."""


@dataclass(frozen=True, kw_only=True)
class Histograms:
    """What was counted.

    Attributes:
        bounds: Sample counts at which stretches end.
        integral: Tensor index to whether it held whole numbers only.
    """

    bounds: tuple[int, ...]
    integral: tuple[bool, ...]


@dataclass(frozen=True, kw_only=True)
class Collect:
    """Run the float model on calibration samples.

    Attributes:
        calibration: Digest of the data; None for random numbers.
        reading: How data files become samples.
        samples: How many are run.
        seed: Of random numbers; 0 for data.
        sizes: Sample counts to choose among; empty where their number is not searched.
        order_seed: Seed of the order they are taken in; None as they lie. With ``sizes`` each count is then a prefix of
            one order, and no sample is run twice.
    """

    kind: ClassVar[Kind] = KIND
    calibration: str | None
    reading: Reading
    samples: int
    seed: int
    sizes: tuple[int, ...] = ()
    order_seed: int | None = None

    def read(self, data: Json) -> Histograms:
        """Read a stored result."""
        return decoded(Histograms, data)

    def run(self, runner: ItemRunner) -> Raw[Histograms]:
        """Run the samples and keep every tensor's histograms."""
        loaded = runner.loaded
        collected = collect(
            loaded.template.model,
            loaded.structure.network,
            calibration_samples(runner, self.order_seed),
            n_samples=self.samples,
            feeding=loaded.feeding,
            threads=runner.problem.threads,
            bounds=self.sizes or None,
        )
        value = Histograms(bounds=tuple(collected.bounds), integral=tuple(bool(one) for one in collected.integral))
        return Raw(value, {HISTOGRAMS: save_arrays(collected.to_arrays())})


def calibration_samples(runner: ItemRunner, seed: int | None) -> SampleSource:
    """Calibration samples as they lie, or in the seeded order."""
    source = runner.calibration
    return source if seed is None else Subset(source, sample_order(source.n_samples, seed=seed))
