"""What is delivered, opened as anybody opens it: a session with default options, and with single optimizers off.

Oracle: the same graph with every optimization off. Whatever an optimizer makes of the graph must load and compute the
same; only sums in another order may turn a rounding over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest

from search.assignment import Assignment
from search.evaluation.fitting import FittedGrids
from search.evaluation.qdq import QdqOptions, build_qdq
from search.precision import Precision
from search.runtime.session import Level, Session
from search.targets.legalise import uniform
from search.targets.placement import place
from search.targets.rulebook import Rulebook
from search.targets.target import Target, load_target
from tests.builders import random_feeds
from tests.evaluation.fused_patterns import PATTERNS
from tests.evaluation.loading import load_proto, min_max_grids
from tests.evaluation.operators import OPERATORS

CHIPS = {
    "j6m": load_target("j6m", toolchain="3.5.0"),
    "j6p": load_target("j6p", toolchain=None),
    "tx5105c": load_target("tx5105c", toolchain=None),
}
ORT = load_target("ort-cpu", toolchain=None)
OPTIMIZERS = (
    *("LayerNormFusion", "SimplifiedLayerNormFusion", "SkipLayerNormFusion", "GeluFusionL1", "GeluFusionL2"),
    *("FastGeluFusion", "BiasGeluFusion", "QuickGeluFusion", "MatMulAddFusion", "MatmulTransposeFusion"),
    *("QDQPropagationTransformer", "DoubleQDQPairsRemover", "WeightBiasQuantization", "QDQSelectorActionTransformer"),
    *("ConstantFolding", "TransposeOptimizer", "NchwcTransformer", "CommonSubexpressionElimination"),
)
"""Each is switched off alone as well: one that comes first hides what the next would do."""
MOST_APART = 1e-3
"""Of the largest absolute value of an output: one turned rounding at 16 bit, none at 8 bit."""


Assignments = Callable[[Rulebook], Iterator[Assignment]]


def feeds_of(proto: onnx.ModelProto, n: int) -> dict[str, Any]:
    feeds = random_feeds(proto, np.random.default_rng(0), batch=n)
    return {name: np.abs(value) % 9 if value.dtype.kind == "i" else value for name, value in feeds.items()}


def delivered(
    proto: onnx.ModelProto, target: Target, tmp_path: Any, assignments: Assignments | None = None
) -> Iterator[tuple[onnx.ModelProto, dict[str, Any]]]:
    """The file of every assignment, by default of every uniform one that the chip allows, and inputs."""
    assignments = assignments or uniform_ones
    feeds = feeds_of(proto, 2)
    loaded = load_proto(proto, feeds, tmp_path)
    feeds = {name: value[: 1 if loaded.feeding.fixed else 2] for name, value in feeds.items()}
    network, grids = loaded.structure.network, min_max_grids(loaded, feeds, target)
    for chosen in assignments(Rulebook(network, target)):
        placement = place(network, target, chosen)
        chip = target.name != "ort-cpu"
        options = QdqOptions(explicit_moves=True, guarded=chip)
        source = grids if chip else FittedGrids(loaded.template, placement, grids)
        yield build_qdq(loaded.template, placement, source, options).model, feeds


def uniform_ones(book: Rulebook) -> Iterator[Assignment]:
    """Every precision everywhere it is allowed."""
    chosen = (
        tuple(wanted if wanted in one.choices else one.choices[-1] for one in book.allowed) for wanted in Precision
    )
    yield from map(Assignment, dict.fromkeys(chosen))


def with_one_elsewhere(book: Rulebook) -> Iterator[Assignment]:
    """Every uniform one with each single group at each of its other precisions: casts at every place of a pattern."""
    seen = set()
    for base in uniform_ones(book):
        for index, one in enumerate(book.allowed):
            for other in one.choices:
                chosen = (*base.precisions[:index], other, *base.precisions[index + 1 :])
                if chosen not in seen:
                    seen.add(chosen)
                    yield Assignment(chosen)


def opened(proto: onnx.ModelProto, feeds: dict[str, Any], *, without: str | None = None) -> dict[str, Any]:
    options = ort.SessionOptions()
    options.log_severity_level = 4
    off = [] if without is None else [without]
    session = ort.InferenceSession(proto.SerializeToString(), options, disabled_optimizers=off)
    names = [one.name for one in session.get_outputs()]
    return dict(zip(names, session.run(names, feeds), strict=True))


def assert_close(got: dict[str, Any], expected: dict[str, Any]) -> None:
    for name, value in expected.items():
        if value.dtype.kind == "f":
            assert np.max(np.abs(got[name] - value)) <= MOST_APART * np.max(np.abs(value)), name


@pytest.mark.parametrize("target", CHIPS)
@pytest.mark.parametrize("name", PATTERNS)
def test_a_default_session_computes_what_is_written(name, target, tmp_path):
    for proto, feeds in delivered(PATTERNS[name](), CHIPS[target], tmp_path):
        assert_close(opened(proto, feeds), Session(proto, level=Level.PLAIN).run(feeds))


@pytest.mark.parametrize("name", OPERATORS)
def test_every_operator_is_computed_as_written(name, tmp_path):
    proto = OPERATORS[name](np.random.default_rng(0))
    for made, feeds in delivered(proto, CHIPS["j6m"], tmp_path):
        assert_close(opened(made, feeds), Session(made, level=Level.PLAIN).run(feeds))


@pytest.mark.parametrize("name", ["norm written out, opset 14", "skip norm written out", "gelu by erf", "attention"])
def test_no_optimizer_hides_what_another_one_breaks(name, tmp_path):
    for proto, feeds in delivered(PATTERNS[name](), CHIPS["j6p"], tmp_path):
        expected = Session(proto, level=Level.PLAIN).run(feeds)
        for without in OPTIMIZERS:
            assert_close(opened(proto, feeds, without=without), expected)


@pytest.mark.slow
@pytest.mark.parametrize("target", CHIPS)
@pytest.mark.parametrize("name", PATTERNS)
def test_a_cast_at_any_place_of_a_pattern_changes_nothing(name, target, tmp_path):
    for proto, feeds in delivered(PATTERNS[name](), CHIPS[target], tmp_path, with_one_elsewhere):
        assert_close(opened(proto, feeds), Session(proto, level=Level.PLAIN).run(feeds))


@pytest.mark.slow
@pytest.mark.parametrize("without", OPTIMIZERS)
@pytest.mark.parametrize("name", PATTERNS)
def test_no_optimizer_alone_breaks_a_pattern(name, without, tmp_path):
    for proto, feeds in delivered(PATTERNS[name](), CHIPS["j6p"], tmp_path):
        assert_close(opened(proto, feeds, without=without), Session(proto, level=Level.PLAIN).run(feeds))


def test_without_guards_the_same_file_is_another_network_or_none(tmp_path):
    """Tries the oracle: were it blind, this would pass."""
    proto = PATTERNS["mlp of batch 1"]()
    feeds = feeds_of(proto, 1)
    loaded = load_proto(proto, feeds, tmp_path)
    network, target = loaded.structure.network, CHIPS["j6m"]
    placement, options = place(network, target, uniform(network, target, "low")), QdqOptions(explicit_moves=True)
    made = build_qdq(loaded.template, placement, min_max_grids(loaded, feeds, target), options).model
    with pytest.raises(Exception, match="gemm_input_reshape"):
        opened(made, feeds)


@pytest.mark.parametrize("name", PATTERNS)
def test_what_is_deployed_on_the_runtime_loads_and_keeps_its_biases(name, tmp_path):
    for proto, feeds in delivered(PATTERNS[name](), ORT, tmp_path):
        got, expected = opened(proto, feeds), Session(proto, level=Level.PLAIN).run(feeds)
        assert set(got) == set(expected)
        if name.startswith("dead"):  # some processors saturate in 8-bit products: far less than a lost bias
            for output, value in expected.items():
                assert np.linalg.norm(got[output] - value) <= 0.3 * np.linalg.norm(value), output
