"""The description of a model: what planning and findings need to know of it once its file is read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated

from pydantic import PlainSerializer, PlainValidator

from search.canonical import Json
from search.graph.network import Network
from search.graph.notes import Note

CHECK = "check"
"""Kind of work whose result describes the model."""
StoredNetwork = Annotated[Network, PlainValidator(Network.from_json), PlainSerializer(Network.to_json)]
"""A network in its compact JSON form."""


@dataclass(frozen=True)
class Value:
    """A model input or output.

    Attributes:
        name: Its name.
        dtype: NumPy name of its type; None where the file does not say.
        shape: Sizes; None where open.
    """

    name: str
    dtype: str | None
    shape: tuple[int | None, ...]


@dataclass(frozen=True, kw_only=True)
class ModelDescription:
    """One model.

    Attributes:
        network: Groups and tensors.
        batch: Samples per run.
        fixed_batch: Whether the model takes that many only.
        mixes: By how much of its size the answer to a sample changes with the others in a run.
        inputs: Model inputs.
        outputs: Model outputs.
        ranking: Output to the values whose error ranks its points.
        notes: What reading turned up.
        opset: Opset of the file and of the prepared model.
        self_test: Output to the largest difference of the rewritten graph, relative to its largest absolute value.
        parts: Output to the texts of its parts (``y[:, :4]``), where their ranges are too different for one goal.
        exporter: Program and version that wrote the file, as it says.
    """

    network: StoredNetwork
    batch: int
    fixed_batch: bool
    mixes: float
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    ranking: Mapping[str, tuple[str, ...]]
    notes: tuple[Note, ...]
    opset: tuple[int, int]
    self_test: Mapping[str, float]
    parts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    exporter: str = ""


def stored_network(checked: Mapping[str, Json]) -> Network | None:
    """Return the network of a stored result of ``check``; None if it has none.

    Results of programs before version 7 hold it at the top, later ones in their ``ModelDescription``: studies that
    ended before are still shown.
    """
    model = checked.get("model", checked)
    network = model.get("network") if isinstance(model, Mapping) else None
    return Network.from_json(dict(network)) if isinstance(network, Mapping) else None
