"""The model taken in once per process: user's bytes, normal form, groups, template, and how to feed it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import onnx
import onnx_ir as ir

from search.arrays import Array
from search.calibration.collect import bounded, with_outputs
from search.data.fed import Fed
from search.data.inputs import InputInfo
from search.errors import UnsupportedModelError
from search.evaluation.template import Sizes, Template, make_template
from search.graph.build import Structure, build_structure
from search.graph.cut import ranking_values
from search.graph.fusion import Fusion
from search.graph.load import UserModel
from search.graph.network import Network
from search.graph.notes import Fate, Note
from search.graph.operators import is_float
from search.graph.prepared import prepare, simplify_again
from search.graph.quantized_input import FixedScales
from search.graph.shape_values import fold_shape_values, shape_values
from search.runtime.arranging import Arrangement
from search.runtime.feeding import Feeding
from search.runtime.session import Level, Session

PROBE_SAMPLES = 2
ROUNDING_TOLERANCE = 1e-3  # of an output's largest value, by which float64 and float32 may differ
MAX_ACTIVATION_BYTES = 128 * 2**20
"""Of all tensors of one run: larger batches leave the cache and are slower per sample, not faster."""


@dataclass(frozen=True, eq=False)
class Loaded:
    """Everything derived from the model file and a few samples.

    Attributes:
        arrangement: How samples lie in inputs and outputs.
        user: The untouched model.
        user_session: It, ready to run, as deployed.
        feeding: Samples per run.
        structure: Groups, tensors, roles.
        template: The prepared model in parts.
        fates: User's nodes that are no longer there.
        notes: Findings of reading.
        fixed_scales: Scales the model brought along.
        ranking: Output to the values whose error ranks points.
        was_quantized: Whether the file held Q/DQ pairs, which were taken out.
        opset: Opset of the file and of the prepared model.
        value_names: User's value name to the name of the equal value now, where that differs.
    """

    arrangement: Arrangement
    user: UserModel
    user_session: Session
    feeding: Feeding
    structure: Structure
    template: Template
    fates: Mapping[str, Fate]
    notes: tuple[Note, ...]
    fixed_scales: FixedScales
    ranking: Mapping[str, tuple[str, ...]]
    was_quantized: bool
    opset: tuple[int, int]
    value_names: Mapping[str, str]


def inputs_of(user: UserModel) -> tuple[InputInfo, ...]:
    """Declared inputs of a model, as data is laid beside them."""
    names = {value.name: value for value in user.proto.graph.input}
    return tuple(
        InputInfo(
            name=value.name,
            dtype=np.dtype(value.dtype),
            shape=value.shape,
            names=tuple(size.dim_param for size in names[value.name].type.tensor_type.shape.dim),
        )
        for value in user.inputs
    )


def take_in(
    user: UserModel, session: Session, arrangement: Arrangement, samples: Fed, *, fusion: Fusion | None = None
) -> Loaded:
    """Normalise and group a model that was read.

    Args:
        user: The model.
        session: It, ready to run.
        arrangement: How it is fed.
        samples: Data to find out shapes.
        fusion: What the runtime of the target joins; by default what an accelerator does.

    Raises:
        UnsupportedModelError: If nothing in it can be quantized or needs to be, or float32 does not hold its numbers.
    """
    feeding = arrangement.feeding
    if user.original is not None:
        _check_rounding(user.original, session, _probe_runs(samples, feeding)[0])
    prepared = prepare(user, _evaluate)
    graph = prepared.model.graph
    runs = _probe_runs(samples, feeding)
    given = _given(graph, arrangement, runs[0])
    traced, removed = _fold_shapes(prepared.model, runs, given)
    while simplify_again(prepared, _evaluate):
        traced, more = _fold_shapes(prepared.model, runs, given)
        removed += more
    fates = {
        **prepared.fates,
        **{name: Fate("folded", None, "depends on shapes only; always the same") for name in removed},
    }
    batch = feeding.batch if feeding.fixed else 1
    structure = build_structure(
        graph, {name: value.shape for name, value in traced[0].items()}, batch=batch, fusion=fusion
    )
    _check_real(structure.network)
    ranking = ranking_values(graph)
    if _ranks_inside(ranking) and any(one.axis not in (0, None) for one in arrangement.layouts.values()):
        feeding = replace(feeding, batch=1, fixed=True)  # where samples lie in inner values is known for one only
    return Loaded(
        arrangement=arrangement,
        user=user,
        user_session=session,
        feeding=bounded(feeding, structure.network, MAX_ACTIVATION_BYTES),
        structure=structure,
        template=make_template(ir.to_proto(prepared.model), structure, _sizes(traced)),
        fates=fates,
        notes=(*prepared.notes, *_computed_once(graph, given, runs[0])),
        fixed_scales=prepared.fixed,
        ranking=ranking,
        was_quantized=prepared.was_quantized,
        opset=(user.opset, prepared.model.opset_imports[""]),
        value_names=prepared.value_names,
    )


def _check_real(network: Network) -> None:
    """Check that there is something to search for.

    Raises:
        UnsupportedModelError: If no real-valued result depends on the inputs, or none is computed.
    """
    if not network.tensors:
        raise UnsupportedModelError(
            "The model computes no real (floating-point) value from its inputs, only integers, booleans or constants: "
            "there is no precision to search for. Deploy it as it is."
        )
    if not network.groups:
        raise UnsupportedModelError(
            "The model only moves or copies real values (Identity, Reshape, Transpose and the like) and computes none: "
            "there is no precision to search for. Deploy it as it is."
        )


def _check_rounding(original: onnx.ModelProto, rounded: Session, feeds: Mapping[str, Array]) -> None:
    """Check that a float64 model computes the same in float32.

    Raises:
        UnsupportedModelError: If an output differs by more than ``ROUNDING_TOLERANCE`` of its largest value.
    """
    expected, got = Session(original, level=Level.PLAIN).run(feeds), rounded.run(feeds)
    for name, reference in expected.items():
        if reference.dtype.kind != "f" or not reference.size:
            continue
        difference, size = np.abs(got[name] - reference).max(), np.abs(reference).max()
        if difference > ROUNDING_TOLERANCE * size:
            raise UnsupportedModelError(
                f"The model computes in float64, and in float32 its output {name!r} differs by {difference:.3g} (of "
                f"{size:.3g}). Chips compute in float32 or less: scale the values that need float64, or export the "
                "network in float32."
            )


def _evaluate(model: onnx.ModelProto, feeds: Mapping[str, Array]) -> dict[str, Array]:
    return Session(model, level=Level.PLAIN).run(feeds)


def _probe_runs(samples: Fed, feeding: Feeding) -> list[dict[str, Array]]:
    """Inputs of one run, and of a second one of another size where the model allows it."""
    if samples.differs:
        return [samples.batch([number]) for number in _of_two_sizes(samples)]
    if feeding.fixed:
        return [samples.batch(np.zeros(feeding.batch, np.intp))]
    return [samples.batch(np.arange(n)) for n in (1, PROBE_SAMPLES)]


def _of_two_sizes(samples: Fed) -> tuple[int, int]:
    """The first sample and the first that differs from it in size."""

    def shapes(number: int) -> list[tuple[int, ...]]:
        return [array.shape for array in samples.rows([number]).values()]

    first = shapes(0)
    return 0, next(number for number in range(1, samples.n_samples) if shapes(number) != first)


def _ranks_inside(ranking: Mapping[str, tuple[str, ...]]) -> bool:
    """Whether points are ranked by values that are no outputs."""
    return any(name not in ranking for values in ranking.values() for name in values)


def _given(graph: ir.Graph, arrangement: Arrangement, run: Mapping[str, Array]) -> frozenset[str]:
    """Inputs of one whole number or truth value that is the same for all samples: rates, flags, modes.

    Masks and indices are left alone: they may be stored once and still change when the network is used.
    """
    constant = {name for name, one in arrangement.layouts.items() if one.constant and run[name].size == 1}
    return frozenset(
        value.name or "" for value in graph.inputs if value.name in constant and not is_float(value) and value.uses()
    )


def _computed_once(graph: ir.Graph, given: frozenset[str], run: Mapping[str, Array]) -> list[Note]:
    """One note for each of ``given`` that nothing reads any more."""
    unread = [value.name or "" for value in graph.inputs if value.name in given and not value.uses()]
    return [
        Note(
            "constant-input",
            f"Input {name!r} is the same for every sample ({_shown(run[name])}): what depends on it alone was computed "
            "once, so what is delivered holds for this value only.",
        )
        for name in unread
    ]


def _shown(array: Array) -> str:
    return np.array2string(np.asarray(array).reshape(-1), threshold=4, separator=", ").strip("[]")


def _fold_shapes(
    model: ir.Model, runs: list[dict[str, Array]], given: frozenset[str]
) -> tuple[list[dict[str, Array]], tuple[str, ...]]:
    """Trace every run, and fold what depends on shapes only; return what was traced, and the names of nodes gone."""
    graph = model.graph
    traced = _trace(model, runs)
    _set_types(graph, traced[0])
    names = tuple(name for name in shape_values(graph, given) if name in traced[0])  # sequences are not traced
    removed = fold_shape_values(graph, [{name: run[name] for name in names} for run in traced]) if names else ()
    return traced, removed


def _trace(model: ir.Model, runs: list[dict[str, Array]]) -> list[dict[str, Array]]:
    """Every value of the graph in each run, model inputs included."""
    names = [value.name or "" for node in model.graph for value in node.outputs if value.name]
    proto = with_outputs(ir.to_proto(model), names)
    session = Session(proto, level=Level.PLAIN)
    tensors = [name for name in session.tensor_outputs if name in set(names)]
    return [{**feeds, **session.run(feeds, tensors)} for feeds in runs]


def _sizes(traced: list[dict[str, Array]]) -> dict[str, Sizes]:
    """Sizes of every value, None where they differ from run to run."""
    first, last = traced[0], traced[-1]
    return {
        name: tuple(a if a == b else None for a, b in zip(value.shape, last[name].shape, strict=True))
        for name, value in first.items()
        if last[name].ndim == value.ndim
    }


def _set_types(graph: ir.Graph, traced: Mapping[str, Array]) -> None:
    for node in graph:
        for value in node.outputs:
            if value.name and value.name in traced:
                value.dtype = ir.DataType.from_numpy(traced[value.name].dtype)
