"""From a model in memory to what the Q/DQ builder wants, calibrated on a few samples."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from search.calibration.collect import collect
from search.calibration.grids import Grids, GridSettings
from search.calibration.ranges import derive_ranges
from search.data.stored import StoredArrays
from search.errors import InvalidDataError
from search.graph.fusion import Fusion
from search.graph.load import read_model
from search.graph.network import Network
from search.precision import Format
from search.quant.grid import ScaleRule
from search.runtime.arranging import arrange, read
from search.runtime.feeding import Feeding
from search.runtime.session import Level, Session
from search.spec.job import InputSettings
from search.targets.placement import Placement
from search.targets.target import Target
from search.work.loaded import Loaded, inputs_of, take_in
from tests.builders import save


class Samples:
    """Arrays by input name, labels beside them."""

    def __init__(self, feeds: Mapping[str, Any], labels: Mapping[str, Any] | None = None) -> None:
        self.feeds, self.all_labels = dict(feeds), dict(labels or {})

    @property
    def n_samples(self) -> int:
        """Number of samples."""
        return len(next(iter(self.feeds.values())))

    def batch(self, indices: Any) -> dict[str, Any]:
        """Inputs of these samples."""
        return {name: array[indices] for name, array in self.feeds.items()}

    def labels(self, key: str) -> Any:
        """All labels."""
        return self.all_labels[key]


def load(path: Path, sample: Mapping[str, Any], *, threads: int, fusion: Fusion | None = None) -> Loaded:
    """Take a model in with a few samples, on axis 0 of every array."""
    user = read_model(path)
    session = Session(user.proto, level=Level.DEPLOYED, threads=threads)
    stored = StoredArrays("samples", sample, digest="", labels={})
    settings: dict[str, InputSettings] = {}
    try:
        arrangement = arrange(session, inputs_of(user), [stored])
    except InvalidDataError:  # answers that depend on the batch are meant where a test makes them
        settings = {name: InputSettings(batch_axis=0) for name in sample}
        arrangement = arrange(session, inputs_of(user), [stored], settings)
    samples = read(stored, inputs_of(user), arrangement, settings)
    return take_in(user, session, arrangement, samples, fusion=fusion)


def load_proto(proto: onnx.ModelProto, feeds: Mapping[str, Any], folder: Path, fusion: Fusion | None = None) -> Loaded:
    """Take a model in as a study does."""
    first = {name: array[:2] for name, array in feeds.items()}
    return load(save(proto, folder), first, threads=1, fusion=fusion)


def min_max_grids(loaded: Loaded, feeds: Mapping[str, Any], target: Target, **settings: Any) -> Grids:
    """Grids of the smallest and largest values over all of ``feeds``, run at once."""
    network = loaded.structure.network
    samples = Samples(feeds)
    collected = collect(
        loaded.template.model,
        network,
        samples,
        n_samples=samples.n_samples,
        feeding=Feeding(batch=samples.n_samples, fixed=True),
        threads=1,
    )
    ranges = derive_ranges(
        collected.at(samples.n_samples), [("min_max", 8), ("min_max", 16)], rule=ScaleRule(target.activation_rule)
    )
    chosen = GridSettings(**{"method_8": "min_max", "method_16": "min_max", **settings})
    return Grids(network, target, ranges, loaded.template.array, chosen)


def random_placement(network: Network, rng: np.random.Generator) -> Placement:
    """Any format anywhere; a node's subgraphs read one tensor in one format."""
    formats = list(Format)

    def pick() -> Format:
        return formats[rng.choice(4, p=[0.35, 0.3, 0.2, 0.15])]

    places: dict[tuple[str, int, int], Format] = {}
    read = tuple(
        tuple(places.setdefault((slot.node, slot.index, slot.tensor), pick()) for slot in group.inputs)
        for group in network.groups
    )
    return Placement(tuple(pick() for _ in network.tensors), read, tuple(pick() for _ in network.constants))


def uniform_placement(network: Network, fmt: Format) -> Placement:
    """One format everywhere."""
    read = tuple(tuple(fmt for _ in group.inputs) for group in network.groups)
    return Placement(tuple(fmt for _ in network.tensors), read, tuple(fmt for _ in network.constants))
