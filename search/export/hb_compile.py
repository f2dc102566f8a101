"""``horizon/hb_compile.yaml``: how Horizon's ``hb_compile -c`` turns the model beside it into a program for the chip.

There are two of them: one calibrates the float model with the method that was measured, the other loads the thresholds
of the search from the Q/DQ model. Values for several inputs are one ``;``-joined text. The paths are relative to the
output folder: run the tool there.
"""

from __future__ import annotations

from typing import Any

import yaml

from search.deployment.deployment import Deployment
from search.errors import UsageError
from search.export import hmct_config
from search.export.calibration_folder import input_folder
from search.export.horizon_keys import L2M_BYTES_PER_CORE, WITHOUT_L2M, hb_compile_problems
from search.export.horizon_model import FLOAT_MODEL, LOADED_MODEL

CORES = {"nash-p": 4, "nash-h": 3}
"""Cores of the chips that have more than one."""


CALIBRATED = "horizon/hb_compile.yaml"
LOADED = "horizon/hb_compile_load.yaml"


def hb_compile_document(deployment: Deployment, *, loads: bool = False) -> dict[str, Any]:
    """Return the document as plain values.

    Args:
        deployment: What is delivered.
        loads: Whether the thresholds of the Q/DQ model are loaded instead of calibrating.

    Raises:
        UsageError: If the deployment has no march, or a value is not one the tool accepts; names which.
    """
    if deployment.march is None:
        raise UsageError(f"Target {deployment.target!r} names no march, so hb_compile.yaml cannot be written.")
    inputs = deployment.inputs
    calibration: dict[str, Any] = {"quant_config": f"./{hmct_config.LOADED if loads else hmct_config.CALIBRATED}"}
    if deployment.calibration_dir is not None:
        folder = deployment.calibration_dir.rstrip("/")
        calibration = {
            "cal_data_dir": _joined([f"./{folder}/{input_folder(entry.name)}" for entry in inputs]),
            **calibration,
        }
    document = {
        "model_parameters": {
            "onnx_model": f"./{LOADED_MODEL if loads else FLOAT_MODEL}",
            "march": deployment.march,
            "working_dir": "./model_output_load" if loads else "./model_output",
            "output_model_file_prefix": "model",
        },
        "input_parameters": {
            "input_name": _joined([entry.name for entry in inputs]),
            # an input without axes holds one number, and the key has no way to say no axes
            "input_shape": ";".join("x".join(map(str, entry.shape)) or "1" for entry in inputs),
            "input_type_rt": ";".join("featuremap" for _ in inputs),
            "input_type_train": ";".join("featuremap" for _ in inputs),
            "input_layout_train": ";".join(entry.layout for entry in inputs),
        },
        "calibration_parameters": calibration,
        "compiler_parameters": _compiler(deployment.march),
    }
    problems = hb_compile_problems(document)
    if problems:
        raise UsageError(f"hb_compile.yaml would not be valid: {problems[0]}.")
    return document


def hb_compile_text(deployment: Deployment, *, loads: bool = False) -> str:
    """Return the file, with a placeholder line where no calibration data was exported."""
    document = hb_compile_document(deployment, loads=loads)
    header = (
        f"# Run in the output folder: hb_compile -c {LOADED if loads else CALIBRATED}\n"
        f"{_ABOUT_LOADING if loads else _ABOUT_CALIBRATING}"
        "# Node names in quant_config.json are those of the model given here. hb_compile renames nodes it rewrites\n"
        "# (Gemm becomes Conv, BatchNormalization disappears): compare with *_optimized_float_model.onnx.\n"
    )
    text = header + yaml.safe_dump(document, sort_keys=False, allow_unicode=False, width=10**6)
    if deployment.calibration_dir is None:
        folders = ";".join(f"<folder of .npy files for input {i}>" for i in range(len(deployment.inputs)))
        placeholder = (
            "calibration_parameters:\n"
            "  # Needed before this file can run; search with --export-calibration to have it filled in.\n"
            f"  # cal_data_dir: {folders}\n"
        )
        text = text.replace("calibration_parameters:\n", placeholder, 1)
    return text


_ABOUT_CALIBRATING = (
    "# HMCT calibrates the float model with the data named below and the method in quant_config.json.\n"
    "# horizon/README.md says whether that is what was measured.\n"
)
_ABOUT_LOADING = "# HMCT takes the thresholds of the search from the Q/DQ pairs of the model (calibration_type load).\n"


def _compiler(march: str) -> dict[str, Any]:
    cores = CORES.get(march, 1)
    values: dict[str, Any] = {"compile_mode": "latency", "optimize_level": "O2", "core_num": cores}
    if march not in WITHOUT_L2M:
        # Stated as bytes: the tools disagree on what 0 and "not given" mean.
        values["max_l2m_size"] = cores * L2M_BYTES_PER_CORE
    return {**values, "jobs": 16}


def _joined(values: list[str]) -> str | list[str]:
    """Join with ``;``, or keep a list (the tool takes both) where a value holds a semicolon itself."""
    return values if any(";" in value for value in values) else ";".join(values)
