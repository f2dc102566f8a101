"""A model looked at without data: groups, findings, what the chip allows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from search.data.inputs import InputInfo
from search.data.random import random_source
from search.diagnosis.model import model_findings
from search.graph.load import read_model
from search.graph.network import Network
from search.precision import Precision
from search.records.document import to_json
from search.records.finding import Finding
from search.targets.rulebook import Rulebook
from search.targets.target import Target
from search.work.checking import describe_model
from search.work.loaded import Loaded, load


@dataclass(frozen=True, eq=False)
class Inspection:
    """What ``bitbudget check`` shows.

    Attributes:
        loaded: The model, taken in.
        choices: Legal precisions of every group, cheapest first.
        findings: What reading turned up.
    """

    loaded: Loaded
    choices: tuple[tuple[Precision, ...], ...]
    findings: tuple[Finding, ...]

    @property
    def network(self) -> Network:
        """Groups and tensors."""
        return self.loaded.structure.network

    def to_json(self) -> dict[str, Any]:
        """Return a JSON value."""
        network = self.network
        return {
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


def inspect_model(path: Path, target: Target) -> Inspection:
    """Read a model and lay the rules of a target over it; shapes are traced with random samples.

    Raises:
        InvalidModelError: If the file is no usable model.
        SelfTestError: If the rewritten graph differs from it.
    """
    inputs = [InputInfo(name=v.name, dtype=np.dtype(v.dtype), shape=v.shape) for v in read_model(path).inputs]
    source = random_source(inputs, seed=0, n_samples=8)
    loaded = load(path, source.batch(np.arange(2)), threads=1)
    described = describe_model(loaded, source.batch(np.arange(source.n_samples)))
    book = Rulebook(loaded.structure.network, target)
    choices = tuple(allowed.choices for allowed in book.allowed)
    return Inspection(loaded, choices, tuple(model_findings(described)))
