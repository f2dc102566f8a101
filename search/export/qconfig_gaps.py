"""What the setters of Horizon's plugin cannot say: nodes without a module, and what the older ones have no word for."""

from __future__ import annotations

from collections.abc import Iterator

from search.deployment.deployment import Deployment
from search.deployment.gap import Gap
from search.export.qconfig_plan import ModuleFormats, QconfigPlan, qconfig_plan

SETTER = "horizon/qconfig_setter.py"
LEGACY = "horizon/qconfig_setter_legacy.py"


def qconfig_gaps(deployment: Deployment) -> Iterator[Gap]:
    """Yield the gaps of both files."""
    plan = qconfig_plan(deployment)
    for file in (SETTER, LEGACY):
        yield from _of_both(deployment, plan, file)
    yield from _of_legacy(plan)


def _of_both(deployment: Deployment, plan: QconfigPlan, file: str) -> Iterator[Gap]:
    if plan.unmapped:
        n_all = len(plan.unmapped) + len(plan.modules)
        yield Gap(
            file=file,
            decision="precision",
            subjects=_names(plan.unmapped),
            effect=f"{len(plan.unmapped)} of {n_all} entries have node names without a module path and stand in the "
            "file as comments",
        )
    if plan.inputs:
        yield Gap(
            file=file,
            decision="input",
            subjects=tuple(entry.name for entry in plan.inputs),
            effect="the module names of their QuantStubs are not in the ONNX file, so type and threshold of model "
            "inputs stand in the file as comments",
        )
    if deployment.prescale:
        yield Gap(
            file=file,
            decision="pre-scale",
            subjects=tuple(deployment.network.tensors[t].name for t in sorted(deployment.prescale)),
            effect="values held pre-scaled need a multiplication in the PyTorch model before and after",
        )


def _of_legacy(plan: QconfigPlan) -> Iterator[Gap]:
    measured = [entry for entry in plan.modules if entry.threshold is not None and not entry.fixed]
    fixed = [entry for entry in plan.modules if entry.threshold is not None and entry.fixed]
    mixed = [entry for entry in plan.modules if len(entry.input_formats) > 1]
    if measured:
        yield Gap(
            file=LEGACY,
            decision="threshold",
            subjects=_names(measured),
            effect="old setters take no thresholds: calibration measures its own",
        )
    if fixed:
        yield Gap(
            file=LEGACY,
            decision="fixed-range",
            subjects=_names(fixed),
            effect="old setters take no thresholds: stated ranges must be set by hand",
        )
    if mixed:
        yield Gap(
            file=LEGACY,
            decision="side",
            subjects=_names(mixed),
            effect="old setters have one input type per module: the other inputs follow their writers",
        )


def _names(entries: tuple[ModuleFormats, ...] | list[ModuleFormats]) -> tuple[str, ...]:
    return tuple(entry.name for entry in entries)
