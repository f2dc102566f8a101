"""``layers``: every intermediate result of the float and of the quantized run on one sample.

One item per sample and one sample per run, so that never more than one run's values are held.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from search.arrays import Array
from search.calibration.collect import fresh_part
from search.canonical import Json
from search.encoding import decoded
from search.evaluation.configuration import Configuration
from search.spec.job import Evaluator
from search.targets.identity import Numerics
from search.tasks import Kind
from search.work.conditions import Reference
from search.work.inner_values import float_layers, quantized_layers, rounded_inputs
from search.work.item_runner import ItemRunner, Raw
from search.work.kinds.export import FILE

KIND = Kind(
    name="layers",
    label="write intermediate results",
    doing="writing intermediate results",
    phase="export",
    delivers=True,
    is_search=False,
)
FOLDER = "layers"


@dataclass(frozen=True)
class Dumped:
    """The sample whose values were written."""

    sample: int


@dataclass(frozen=True, kw_only=True)
class DumpLayers:
    """Dump one sample under both models.

    Attributes:
        reference: Evaluation samples, and how the model is quantized.
        numerics: What the target makes of the configuration.
        evaluator: By integer arithmetic or as a Q/DQ model.
        configuration: What is delivered.
        calibration: Digest of the calibration data, where the sample is one of it; None else.
        sample: Its index.
    """

    kind: ClassVar[Kind] = KIND
    reference: Reference
    numerics: Numerics
    evaluator: Evaluator
    configuration: Configuration
    calibration: str | None
    sample: int

    def read(self, data: Json) -> Dumped:
        """Read a stored result."""
        return decoded(Dumped, data)

    def run(self, runner: ItemRunner) -> Raw[Dumped]:
        """Run both models and keep every value as a file."""
        feeding, sample = runner.loaded.feeding, self.sample
        source = runner.calibration if runner.problem.evaluation is None else runner.evaluation
        batch = feeding.batch if feeding.fixed else 1
        feeds = source.batch(np.full(batch, sample))
        own = {name: fresh_part(array, batch, 1) for name, array in feeds.items()}
        rounded = quantized_layers(runner, self.configuration, self.evaluator).values(feeds, batch)
        files = {
            layer_path("float", sample): npz_bytes({**own, **float_layers(runner).values(feeds, batch)}),
            layer_path("quantized", sample): npz_bytes({**rounded_inputs(runner, self.configuration, own), **rounded}),
        }
        return Raw(Dumped(sample), {f"{FILE}{path}": data for path, data in files.items()})


def layer_path(run: str, sample: int) -> str:
    """Path of the values of one sample, relative to the output folder."""
    return f"{FOLDER}/{run}/{sample}.npz"


def npz_bytes(arrays: Mapping[str, Array]) -> bytes:
    """Arrays as the bytes of an ``.npz``; unlike ``np.savez`` any name will do. Equal arrays give equal bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, array in arrays.items():
            if array.dtype.hasobject:
                continue  # text
            member = io.BytesIO()
            np.lib.format.write_array(member, np.ascontiguousarray(array).reshape(array.shape), allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), member.getvalue())
    return buffer.getvalue()
