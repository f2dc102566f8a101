"""A model looked at without data: groups, findings, what the chip allows."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from search.data.fed import Fed
from search.diagnosis.model import model_findings
from search.diagnosis.once import once_per_kind
from search.diagnosis.quantized import quantized_findings, quantized_record
from search.graph.network import Network
from search.precision import Precision
from search.records.document import to_json
from search.records.finding import Finding
from search.targets.rulebook import Rulebook
from search.targets.target import Target
from search.work.loaded import Loaded
from search.work.self_test import describe_model
from search.work.without_data import load_without_data

N_SAMPLES = 8


@dataclass(frozen=True)
class WantedInput:
    """One input of a model, and how its data is stored.

    Attributes:
        name: In the model, and in the data.
        dtype: Element type.
        shape: Sizes as declared; None is open.
        axis: Axis along which samples lie; None where a run takes one whole sample.
        sample: Sizes of one sample in the file.
    """

    name: str
    dtype: str
    shape: tuple[int | None, ...]
    axis: int | None
    sample: tuple[int, ...]

    @property
    def name_in_python(self) -> str:
        """The name where it can be one in Python."""
        return self.name if self.name.isidentifier() else re.sub(r"\W", "_", f"_{self.name}")

    @property
    def in_file(self) -> str:
        """Type and shape of the array in the data file."""
        return f"{self.name_in_python}: {self.dtype} [{', '.join(['N', *map(str, self.sample)])}]"

    def to_json(self) -> dict[str, Any]:
        """Return a JSON value."""
        return {
            "name": self.name,
            "type": self.dtype,
            "shape": list(self.shape),
            "batch_axis": self.axis,
            "sample": list(self.sample),
        }


@dataclass(frozen=True, eq=False)
class Inspection:
    """What ``bitbudget check`` shows.

    Attributes:
        loaded: The model, taken in.
        samples: Random samples it was looked at with.
        choices: Legal precisions of every group, cheapest first.
        findings: What reading turned up.
    """

    loaded: Loaded
    samples: Fed
    choices: tuple[tuple[Precision, ...], ...]
    findings: tuple[Finding, ...]

    @property
    def network(self) -> Network:
        """Groups and tensors."""
        return self.loaded.structure.network

    @property
    def inputs(self) -> tuple[WantedInput, ...]:
        """What the model wants to be fed, in its own order."""
        layouts, samples = self.loaded.arrangement.layouts, self.samples.layout
        return tuple(
            WantedInput(
                value.name, value.dtype, value.shape, layouts[value.name].axis, _sizes(samples[value.name].shape)
            )
            for value in self.loaded.user.inputs
        )

    @property
    def savez(self) -> str:
        """The Python line that writes data for this model."""
        given = ", ".join(f"{one.name!r}: {one.name_in_python}" for one in self.inputs)
        return f"numpy.savez('calib.npz', **{{{given}}})  # " + ", ".join(one.in_file for one in self.inputs)

    def to_json(self) -> dict[str, Any]:
        """Return a JSON value."""
        network = self.network
        return {
            "inputs": [one.to_json() for one in self.inputs],
            "savez": self.savez,
            "groups": [
                {
                    "name": group.name,
                    "op_type": group.op_type,
                    "class": group.op_class.value,
                    "nodes": list(group.nodes),
                    "macs": group.macs,
                    "share": group.macs / network.total_macs if network.total_macs else 0.0,
                    "precisions": [precision.value for precision in choices],
                }
                for group, choices in zip(network.groups, self.choices, strict=True)
            ],
            "outputs": list(network.outputs),
            "findings": [to_json(finding) for finding in self.findings],
        }


def inspect_model(path: Path, target: Target, shapes: Mapping[str, tuple[int, ...]] | None = None) -> Inspection:
    """Read a model and lay the rules of a target over it; shapes are traced with random samples.

    Args:
        path: The model file.
        target: The chip.
        shapes: Sizes of inputs, batch included; open ones that are not here are found by trying.

    Raises:
        UsageError: If a shape does not fit.
        InvalidModelError: If the file is no usable model.
        SelfTestError: If the rewritten graph differs from it.
    """
    found = load_without_data(path, seed=0, n_samples=N_SAMPLES, shapes=shapes, fusion=target.fused)
    loaded = found.loaded
    described = describe_model(loaded, found.samples)
    book = Rulebook(loaded.structure.network, target)
    choices = tuple(allowed.choices for allowed in book.allowed)
    network = loaded.structure.network
    findings = once_per_kind(
        (
            *_assumed(found.assumed),
            *quantized_findings(network, choices, quantized_record(network, choices)),
            *model_findings(described, target.fused),
        )
    )
    return Inspection(loaded, found.samples, choices, findings)


def _assumed(shapes: Mapping[str, tuple[int, ...]]) -> Iterator[Finding]:
    if shapes:
        told = ", ".join(f"{name} {'x'.join(map(str, shape))}" for name, shape in shapes.items())
        yield Finding(
            code="sizes-assumed",
            severity="note",
            message=f"The model leaves sizes open; compute was counted at {told}, the first that runs.",
            advice="Give the real ones with --shape NAME=1x3x640x640.",
            evidence={"shapes": {name: list(shape) for name, shape in shapes.items()}},
        )


def _sizes(shape: tuple[int | None, ...]) -> tuple[int, ...]:
    return tuple(size or 0 for size in shape)
