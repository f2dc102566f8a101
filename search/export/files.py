"""All exported files of a deployment, as bytes by their path below the output folder."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any, Protocol

from search import export
from search.deployment.deployment import Deployment
from search.deployment.document import deploy_text
from search.deployment.float_model import FLOAT_MODEL, float_model
from search.deployment.gap import Gap
from search.export import hb_compile
from search.export.attempts import Attempts, Make
from search.export.horizon import HorizonFolder
from search.export.horizon_readme import measured_route
from search.export.json_text import json_line
from search.export.knight import KnightFolder
from search.export.layers_table import layers_csv
from search.export.ort_gaps import ort_gaps
from search.export.ort_overrides import ort_overrides_text
from search.export.qconfig_table import qconfig_csv
from search.export.sensitivity_table import SensitivityLine, sensitivity_csv
from search.export.trials_table import trials_csv
from search.records.missing import Missing
from search.records.trial import TrialRecord

SCRIPT = "ort_quantize.py"


@dataclass(frozen=True, kw_only=True)
class Exported:
    """The files of a deployment.

    Attributes:
        files: Content by path below the output folder.
        gaps: What they cannot say; also in ``deploy.json``.
        missing: Files that could not be written.
        command: The file whose run by the vendor's tool gives the network that was measured; None outside Horizon.
        recalibrates: A file that has the tool calibrate by a method that was not measured, or None.
    """

    files: Mapping[str, bytes]
    gaps: tuple[Gap, ...]
    missing: tuple[Missing, ...] = ()
    command: str | None = None
    recalibrates: str | None = None


def export_files(deployment: Deployment) -> Exported:
    """Return the files that follow from the chosen assignment; equal deployments give equal bytes.

    A file that cannot be written is missing and says why; it costs no other file.
    """
    attempts = Attempts()
    gaps = attempts.value("what ort_overrides.json leaves unsaid", lambda: ort_gaps(deployment)) or ()
    attempts.write(
        {
            FLOAT_MODEL: lambda: bytes(float_model(deployment).SerializeToString()),
            "ort_overrides.json": lambda: ort_overrides_text(deployment, gaps),
            SCRIPT: ort_script,
            "qconfig.csv": lambda: qconfig_csv(deployment),
        }
    )
    vendor = _VENDORS.get(deployment.kind)
    folder = None if vendor is None else attempts.value(f"{deployment.kind}/", lambda: vendor(deployment))
    if folder is not None:
        attempts.write(folder.makes)
        gaps = (*gaps, *(attempts.value(f"what {deployment.kind}/ leaves unsaid", lambda: folder.gaps) or ()))
    command = measured_route(deployment) if deployment.kind == "horizon" else None
    attempts.write({"deploy.json": lambda: deploy_text(deployment, gaps, command=command)})
    recalibrates = hb_compile.CALIBRATED if command == hb_compile.LOADED else None
    return Exported(
        files=attempts.files,
        gaps=gaps,
        missing=tuple(attempts.missing),
        command=command,
        recalibrates=recalibrates,
    )


class Folder(Protocol):
    """The files of a vendor's tools."""

    @property
    def makes(self) -> Mapping[str, Make]:
        """What makes each file, by path."""
        ...

    @property
    def gaps(self) -> tuple[Gap, ...]:
        """What they leave unsaid."""
        ...


_VENDORS: Mapping[str, Callable[[Deployment], Folder]] = {"horizon": HorizonFolder, "knight": KnightFolder}


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
