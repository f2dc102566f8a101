"""All exported files of a deployment, as bytes by their path below the output folder."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

from search import export
from search.deployment.deployment import Deployment
from search.deployment.document import deploy_text
from search.deployment.float_model import FLOAT_MODEL, float_model
from search.deployment.gap import Gap
from search.export import hb_compile
from search.export.horizon import horizon_files
from search.export.horizon_readme import measured_route
from search.export.json_text import json_line
from search.export.knight import knight_files
from search.export.layers_table import layers_csv
from search.export.ort_gaps import ort_gaps
from search.export.ort_overrides import ort_overrides_text
from search.export.qconfig_table import qconfig_csv
from search.export.sensitivity_table import SensitivityLine, sensitivity_csv
from search.export.trials_table import trials_csv
from search.records.trial import TrialRecord


@dataclass(frozen=True, kw_only=True)
class Exported:
    """The files of a deployment.

    Attributes:
        files: Content by path below the output folder.
        gaps: What they cannot say; also in ``deploy.json``.
        command: The file whose run by the vendor's tool gives the network that was measured; None outside Horizon.
        recalibrates: A file that has the tool calibrate by a method that was not measured, or None.
    """

    files: Mapping[str, bytes]
    gaps: tuple[Gap, ...]
    command: str | None = None
    recalibrates: str | None = None


def export_files(deployment: Deployment) -> Exported:
    """Return the files that follow from the chosen assignment; equal deployments give equal bytes.

    Raises:
        UsageError: If a file would hold something its tool refuses; names what.
        ValueError: If a scale that the placement needs is missing.
    """
    gaps = ort_gaps(deployment)
    files = {
        FLOAT_MODEL: float_model(deployment).SerializeToString(),
        "ort_overrides.json": ort_overrides_text(deployment, gaps).encode(),
        "ort_quantize.py": ort_script(),
        "qconfig.csv": qconfig_csv(deployment),
    }
    of_vendor = _VENDORS.get(deployment.kind)
    if of_vendor is not None:
        own, left = of_vendor(deployment)
        files, gaps = files | own, (*gaps, *left)
    command = measured_route(deployment) if deployment.kind == "horizon" else None
    files["deploy.json"] = deploy_text(deployment, gaps, command=command).encode()
    recalibrates = hb_compile.CALIBRATED if command == hb_compile.LOADED else None
    return Exported(files=files, gaps=gaps, command=command, recalibrates=recalibrates)


_VENDORS: Mapping[str, Callable[[Deployment], tuple[dict[str, bytes], tuple[Gap, ...]]]] = {
    "horizon": horizon_files,
    "knight": knight_files,
}


def evidence_files(
    sensitivity: Iterable[SensitivityLine], trials: Iterable[TrialRecord], *, goals: Sequence[str]
) -> dict[str, bytes]:
    """Return the files that show how the assignment was found."""
    return {"sensitivity.csv": sensitivity_csv(sensitivity), "trials.csv": trials_csv(trials, goals=goals)}


def map_file(document: Mapping[str, Any]) -> dict[str, bytes]:
    """Return the drawing of the network with its precisions."""
    return {"precision_map.json": json_line(document)}


def layer_files(document: Mapping[str, Any]) -> dict[str, bytes]:
    """Return the files that compare float and quantized layer by layer."""
    return {"layers.csv": layers_csv(document["layers"]), "layers.json": json_line(document)}


def ort_script() -> bytes:
    """Return ``ort_quantize.py``: the same text for every deployment."""
    return resources.files(export).joinpath("templates", "ort_quantize.py.txt").read_bytes()
