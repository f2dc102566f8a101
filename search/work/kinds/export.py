"""``export``: the files for the chip, and what the report and ``result.json`` need of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from search.canonical import Json
from search.deployment.deployment import Deployment, OutputForm
from search.deployment.float_model import QDQ_MODEL
from search.deployment.gap import Gap
from search.encoding import decoded
from search.export.files import SCRIPT, export_files
from search.export.horizon_model import FLOAT_MODEL
from search.graph.network import Network
from search.records.missing import Missing
from search.tasks import Kind
from search.work.calibration_samples import delivered_rows
from search.work.conditions import Reference
from search.work.delivered_float import difference_gaps, largest_difference, with_self_test
from search.work.delivery import Delivery
from search.work.deploying import make_deployment
from search.work.item_runner import ItemRunner, Raw
from search.work.script_trial import script_failure

KIND = Kind(
    name="export",
    label="write the files for the chip",
    doing="writing files",
    phase="export",
    delivers=True,
    is_search=False,
)
NODES = "nodes"
"""Blob: every node of the user's graph to its precision, request, group, role, the node it went into, and why."""
FILE = "file:"
"""Blobs of files have this before their path."""


@dataclass(frozen=True, kw_only=True)
class Written:
    """What was written.

    Attributes:
        outputs: Model output to how it leaves the chip.
        shares: Group index to its share of the multiply-accumulates.
        files: Paths, relative to the output folder.
        gaps: Decisions that some file does not carry.
        missing: Files that could not be written.
        command: The file whose run by the vendor's tool gives the network that was measured.
        recalibrates: A file that has the tool calibrate by a method that was not measured.
        calibration_rows: Calibration samples to deliver beside the files, in their order; None for none.
    """

    outputs: Mapping[str, OutputForm]
    shares: tuple[float, ...]
    files: tuple[str, ...]
    gaps: tuple[Gap, ...]
    missing: tuple[Missing, ...]
    command: str | None
    recalibrates: str | None
    calibration_rows: tuple[int, ...] | None


@dataclass(frozen=True, kw_only=True)
class Export:
    """Write every file that follows from the chosen assignment.

    Attributes:
        reference: How the model is quantized.
        target: Digest of the target.
        output_precision: Model output to the precision that the spec asks for.
        delivery: What is exported.
        model: Blob of the exported model; None where nothing was evaluated and it is written here.
    """

    kind: ClassVar[Kind] = KIND
    reference: Reference
    target: str
    output_precision: Mapping[str, str]
    delivery: Delivery
    model: str | None

    def read(self, data: Json) -> Written:
        """Read a stored result."""
        return decoded(Written, data)

    def run(self, runner: ItemRunner) -> Raw[Written]:
        """Write the files."""
        rows = delivered_rows(runner, self.delivery)
        deployment = make_deployment(runner, self.delivery, has_samples=rows is not None)
        exported = export_files(deployment)
        files = dict(exported.files)
        missing = (*exported.missing, *_tried(files))
        tested = _self_test(runner, files)
        if self.model is None:
            files[QDQ_MODEL] = deployment.quantized
        network = deployment.network
        value = Written(
            outputs=deployment.outputs,
            shares=tuple(_share(network, g) for g in range(len(network.groups))),
            files=tuple(sorted(files)),
            gaps=(*exported.gaps, *tested),
            missing=missing,
            command=exported.command,
            recalibrates=exported.recalibrates,
            calibration_rows=rows,
        )
        blobs = {f"{FILE}{path}": content for path, content in files.items()}
        return Raw(value, blobs | {NODES: json.dumps(_assignment(runner, deployment)).encode()})


def _tried(files: dict[str, bytes]) -> tuple[Missing, ...]:
    """Run the script that is delivered, and take it out where it fails on this model."""
    why = script_failure(files) if SCRIPT in files else None
    if why is None:
        return ()
    del files[SCRIPT]
    return (Missing(what=SCRIPT, why=f"it fails on this model ({why}); ort_overrides.json stands", is_fault=True),)


def _self_test(runner: ItemRunner, files: dict[str, bytes]) -> tuple[Gap, ...]:
    """Run the float model of Horizon's folder beside the user's; the outcome is noted in the file."""
    if FLOAT_MODEL not in files:
        return ()
    difference = largest_difference(runner.loaded, runner.calibration, files[FLOAT_MODEL])
    files[FLOAT_MODEL] = with_self_test(files[FLOAT_MODEL], difference)
    return difference_gaps(FLOAT_MODEL, difference)


def _share(network: Network, group: int) -> float:
    return network.groups[group].macs / network.total_macs if network.total_macs else 0.0


def _assignment(runner: ItemRunner, deployment: Deployment) -> dict[str, dict[str, Json]]:
    """Every node of the user's graph: precision, request, group, role, into, why."""
    group_of = runner.loaded.template.group_of
    found = {}
    for name, fate in sorted(deployment.fates.items()):
        group = group_of.get(name, group_of.get(fate.into or ""))
        precision = None if group is None else deployment.effective[group].value
        requested = None if group is None else deployment.requested[group].value
        why = fate.why if group is None or fate.role != "compute" else (deployment.reasons[group] or fate.why)
        found[name] = {
            "precision": precision,
            "requested": requested,
            "group": None if group is None else f"g{group}",
            "role": fate.role,
            "into": fate.into,
            "why": why,
        }
    return found
