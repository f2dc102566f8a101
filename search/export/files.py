"""All exported files of a solution, as bytes by their path below the output folder."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from importlib import resources
from typing import Any

from search import export
from search.export.hb_compile import hb_compile_text
from search.export.hmct_config import hmct_config
from search.export.json_text import json_line
from search.export.knight import knight_files
from search.export.layers_table import layers_csv
from search.export.ort_overrides import ort_overrides_text
from search.export.qconfig_setter import qconfig_setter
from search.export.qconfig_setter_legacy import qconfig_setter_legacy
from search.export.qconfig_table import qconfig_csv
from search.export.sensitivity_table import SensitivityLine, sensitivity_csv
from search.export.solution import Solution
from search.export.trials_table import trials_csv
from search.records.trial import TrialRecord


def export_files(solution: Solution) -> dict[str, bytes]:
    """Return the files that follow from the chosen assignment; equal solutions give equal bytes.

    Raises:
        UsageError: If a file would hold something its tool refuses; names what.
        ValueError: If a scale that the placement needs is missing.
    """
    files = {
        "ort_overrides.json": ort_overrides_text(solution).encode(),
        "ort_quantize.py": ort_script(),
        "qconfig.csv": qconfig_csv(solution),
    }
    if solution.float_model is not None:
        files["ort_float.onnx"] = solution.float_model
    if solution.kind == "horizon":
        files |= _horizon_files(solution)
    if solution.kind == "knight":
        files |= knight_files(solution)
    return files


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
    """Return ``ort_quantize.py``: the same text for every solution."""
    return resources.files(export).joinpath("templates", "ort_quantize.py.txt").read_bytes()


def _horizon_files(solution: Solution) -> dict[str, bytes]:
    config = json.dumps(hmct_config(solution), indent=2, allow_nan=False) + "\n"
    return {
        "horizon/quant_config.json": config.encode(),
        "horizon/hb_compile.yaml": hb_compile_text(solution).encode(),
        "horizon/qconfig_setter.py": qconfig_setter(solution).text.encode(),
        "horizon/qconfig_setter_legacy.py": qconfig_setter_legacy(solution).text.encode(),
    }
