"""``horizon/README.md``: which of the two commands gives the network that was measured, and what either leaves out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from search.deployment.deployment import Deployment
from search.deployment.gap import Gap
from search.export import hb_compile
from search.export.hmct_calibration import SECTIONS, activation_section, not_calibrated
from search.export.horizon_model import FLOAT_MODEL, HIGHEST_OPSET, LOADED_MODEL


def measured_route(deployment: Deployment) -> str:
    """Return the file of the command that the accuracy belongs to."""
    return hb_compile.LOADED if not_calibrated(deployment) else hb_compile.CALIBRATED


def horizon_readme(deployment: Deployment, opsets: Mapping[str, int], gaps: Sequence[Gap]) -> str:
    """Return the explanation.

    Args:
        deployment: What is delivered.
        opsets: Model file to its opset.
        gaps: What the files cannot say.
    """
    route = measured_route(deployment)
    other = hb_compile.CALIBRATED if route == hb_compile.LOADED else hb_compile.LOADED
    parts = [
        f"# {deployment.target} ({deployment.march})\n",
        f"Run this in the folder that holds `horizon/`; it needs nothing else:\n\n```sh\nhb_compile -c {route}\n```\n",
        _why(deployment, route, other),
        "| file | what it is |\n|---|---|\n"
        f"| `{FLOAT_MODEL}` | float model, opset {opsets[FLOAT_MODEL]}, with the node names of `quant_config.json` |\n"
        f"| `{LOADED_MODEL}` | the model that was measured: scales as Q/DQ pairs, opset {opsets[LOADED_MODEL]} |\n"
        "| `quant_config.json`, `quant_config_load.json` | precision of every node; calibrating, loading |\n"
        "| `qconfig_setter.py`, `qconfig_setter_legacy.py` | the PyTorch route, new and older plugin |\n",
        f"HMCT's documents name ONNX opset 10 to {HIGHEST_OPSET}, its compiler's front end 9 to 20.\n",
        _gaps(gaps),
    ]
    return "\n".join(part for part in parts if part)


def _why(deployment: Deployment, route: str, other: str) -> str:
    if route == hb_compile.CALIBRATED:
        told = activation_section(deployment)
        how = f"`{told['calibration_type']}`" if told else "no threshold"
        return (
            f"The accuracy was measured with HMCT's own calibration ({how}) on the data in `calibration/`, so HMCT "
            f"comes to the same thresholds. `{other}` hands them over instead.\n"
        )
    methods = ", ".join(f"`{method}`" for method in not_calibrated(deployment))
    known = ", ".join(f"`{name}`" for name in SECTIONS)
    return (
        f"The accuracy was measured with thresholds that HMCT does not find by itself ({methods}), so this command "
        f"loads them. `{other}` calibrates anew: its accuracy was not measured. To have it measured, search with "
        f"`calibration.methods` among {known}.\n"
    )


def _gaps(gaps: Sequence[Gap]) -> str:
    if not gaps:
        return "Nothing that was measured is left out.\n"
    return "What the files cannot say:\n\n" + "".join(f"- `{gap.file}`: {gap.sentence}\n" for gap in gaps)
