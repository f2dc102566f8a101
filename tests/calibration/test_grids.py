from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from search.calibration.grids import Fixed, Grids, GridSettings, exact_ends, integer_grid
from search.calibration.ranges import Ranges
from search.errors import InvalidDataError, UsageError
from search.graph.network import Constant, ConstantKind, Group, Network, OpClass, Slot, SlotKind, Tensor
from search.precision import Format
from search.quant.grid import Grid, ScaleRule, make_grid
from search.targets.target import load_target

I8, I16 = Format.INT8, Format.INT16
J6M = load_target("j6m", toolchain=None)
J6P = load_target("j6p", toolchain=None)
ORT = load_target("ort-cpu", toolchain=None)
QNN = load_target(str(Path(__file__).parents[1] / "targets" / "qnn_like.toml"), toolchain=None)
WEIGHTS = np.random.default_rng(0).normal(size=(4, 3, 1, 1)).astype(np.float32)
X, A, S, M, G, W = range(6)


def network(integer_input: tuple[int, int] | None = None) -> Network:
    """x -> conv -> a -> sigmoid -> s -> maxpool -> m -> gridsample(m, g) -> w; g is a model input."""

    def group(name, op_type, op_class, slots, out):
        return Group(name, op_type, op_class, (name,), slots, (out,), 1, 1)

    groups = (
        group("conv", "Conv", OpClass.GEMM, (Slot(X, SlotKind.ACTIVATION, "conv", 0),), A),
        group("sig", "Sigmoid", OpClass.LUT, (Slot(A, SlotKind.ACTIVATION, "sig", 0),), S),
        group("pool", "MaxPool", OpClass.POOL, (Slot(S, SlotKind.ACTIVATION, "pool", 0),), M),
        group(
            "warp",
            "GridSample",
            OpClass.WARP,
            (Slot(M, SlotKind.FEATURE, "warp", 0), Slot(G, SlotKind.GRID, "warp", 1)),
            W,
        ),
    )
    writers = (None, 0, 1, 2, None, 3)
    tensors = tuple(
        Tensor(name, writer, name, 4, integer_input=integer_input if name == "x" else None)
        for name, writer in zip(("x", "a", "s", "m", "g", "w"), writers, strict=True)
    )
    constant = Constant("weight", 0, ConstantKind.WEIGHT, "conv", 1, WEIGHTS.shape, 0)
    return Network(groups, tensors, (constant,), ("w",))


ENDS = {"min_max": [(-1, 3), (-2, 2), (0, 1), (0, 0.9), (-1, 1), (-4, 4)], "mse": [(-0.5, 1.5)] * 6}


def ranges(*, integral: bool = False, x: tuple[float, float] | None = None) -> Ranges:
    by_method = {(name, bits): np.array(ends, np.float64) for name, ends in ENDS.items() for bits in (8, 16)}
    extremes = np.array(ENDS["min_max"], np.float64)
    if x is not None:
        extremes[X] = x
    return Ranges(by_method, extremes, np.zeros(6, np.int64), np.full(6, integral))


def grids(target=J6M, *, integer_input=None, found=None, **settings):
    chosen = GridSettings(**{"method_8": "mse", "method_16": "min_max", **settings})
    return Grids(network(integer_input), target, found or ranges(), {"weight": WEIGHTS}.__getitem__, chosen)


def test_each_width_has_its_method():
    found = grids()
    assert found.activation(A, I8) == make_grid(-0.5, 1.5, bits=8, rule=ScaleRule(J6M.activation_rule))
    assert found.activation(A, I16) == make_grid(-2, 2, bits=16, rule=ScaleRule(J6M.activation_rule))
    assert (found.method_of(A, I8), found.method_of(A, I16)) == ("mse", "min_max")
    assert not found.is_fixed(A, I8)


def test_what_no_gemm_writes_can_have_a_method_of_its_own_at_8_bit():
    plain, own = grids(), grids(method_other="min_max")
    net = network(None)
    by_gemm = [t.writer is not None and net.groups[t.writer].is_gemm for t in net.tensors]
    changed = [plain.method_of(t, I8) != own.method_of(t, I8) for t in range(len(net.tensors))]
    free = [plain.method_of(t, I8) == "mse" for t in range(len(net.tensors))]
    assert changed == [is_free and not gemm for is_free, gemm in zip(free, by_gemm, strict=True)]
    assert any(changed)
    assert any(by_gemm)
    assert [plain.method_of(t, I16) for t in range(3)] == [own.method_of(t, I16) for t in range(3)]


@pytest.mark.parametrize("target", [J6M, ORT], ids=["j6m", "ort-cpu"])
def test_a_fixed_scale_is_the_step_of_whatever_width_is_chosen(target):
    found = grids(target, fixed={A: Fixed(scale=0.125)})
    for fmt in (I8, I16):
        assert found.activation(A, fmt).scale == 0.125
        assert found.activation(A, fmt).zero_point == 0
        assert found.method_of(A, fmt) == "fixed"


def test_a_fixed_range_beats_the_treatment_and_the_treatment_the_method():
    rule = ScaleRule(J6M.activation_rule)
    found = grids(fixed={A: Fixed(range=(-7, 7))}, ranges={A: (-1, 1), W: (-1, 1)})
    assert found.activation(A, I16) == make_grid(-7, 7, bits=16, rule=rule)
    assert found.activation(W, I16) == make_grid(-1, 1, bits=16, rule=rule)
    assert found.is_fixed(A, I16)
    assert found.method_of(W, I16) == "fixed"


def test_a_method_of_its_own_beats_everything_but_what_is_stated():
    found = grids(fixed={A: Fixed(method="min_max"), M: Fixed(method="min_max")}, ranges={A: (-9, 9)})
    rule = ScaleRule(J6M.activation_rule)
    assert found.activation(A, I8) == make_grid(-2, 2, bits=8, rule=rule)
    assert found.activation(M, I8) == make_grid(0, 0.9, bits=8, rule=rule)
    assert found.method_of(A, I8) == "min_max"
    assert not found.is_fixed(A, I8)
    stated = grids(fixed={A: Fixed(method="min_max")}, stated={(A, 8): (0.25, 3)})
    assert stated.activation(A, I8) == Grid(scale=0.25, zero_point=3, bits=8, signed=True)
    assert stated.method_of(A, I8) == "fixed"
    assert stated.method_of(A, I16) == "min_max"


@pytest.mark.parametrize(
    ("ends", "exact_8", "exact_16"),
    [
        ((0, 255), True, True),
        ((-128, 127), True, True),
        ((-32768, 32767), False, True),
        ((0, 65535), False, False),
        ((0, 1), True, True),
    ],
)
def test_declared_integers_stay_as_they_are_where_they_fit(ends, exact_8, exact_16):
    found = grids(integer_input=ends, found=ranges(x=ends))
    for fmt, exact in ((I8, exact_8), (I16, exact_16)):
        grid = found.activation(X, fmt)
        assert (grid.scale == 1.0 and grid.zero_point == 0) is exact
        assert found.is_fixed(X, fmt) is exact
        if exact:
            assert grid.low <= ends[0]
            assert ends[1] <= grid.high


def test_wide_integer_types_count_by_what_was_seen():
    int64 = (-(2**63), 2**63 - 1)
    assert grids(integer_input=int64, found=ranges(x=(0, 200))).activation(X, I8).scale == 1.0
    assert grids(integer_input=int64, found=ranges(x=(0, 300))).activation(X, I8).scale != 1.0
    assert grids(integer_input=int64, found=ranges(x=(0, 300))).activation(X, I16).scale == 1.0
    assert grids(integer_input=(0, 65535), found=ranges(x=(0, 4095))).activation(X, I16).scale == 1.0


def test_a_declared_range_beats_integers_held_exactly():
    found = grids(integer_input=(0, 255), fixed={X: Fixed(range=(0, 200))})
    assert found.activation(X, I8) == make_grid(0, 200, bits=8, rule=ScaleRule(J6M.activation_rule))


def test_integer_looking_floats_are_no_integers():
    assert grids(found=ranges(integral=True, x=(0, 255))).activation(X, I8).scale != 1.0


def test_an_input_that_is_not_to_be_quantized_is_held_exactly():
    found = grids(found=ranges(integral=True, x=(0, 255)), fixed={X: Fixed(exact=True)})
    assert found.activation(X, I8) == Grid(scale=1.0, zero_point=0, bits=8, signed=False)
    assert found.activation(X, I16) == Grid(scale=1.0, zero_point=0, bits=16, signed=True)
    assert found.is_fixed(X, I8)


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (ranges(integral=False, x=(0, 255)), r"'x' is not to be quantized, but its calibration samples are not whole"),
        (ranges(integral=True, x=(0, 40000)), r"holds 0 to 40000; only -32768 to 32767 can be kept"),
        (ranges(integral=True, x=(np.nan, np.nan)), r"not whole numbers. Remove inputs.x.quantize: false"),
    ],
)
def test_what_cannot_be_held_exactly_is_an_error(found, message):
    with pytest.raises(InvalidDataError, match=message):
        exact_ends(network(), found, X)
    with pytest.raises(InvalidDataError, match=message):
        grids(found=found, fixed={X: Fixed(exact=True)}).activation(X, I16)


def test_numbers_beyond_8_bit_that_must_not_be_quantized_need_16():
    found = grids(found=ranges(integral=True, x=(-5, 1000)), fixed={X: Fixed(exact=True)})
    assert found.activation(X, I16).scale == 1.0
    with pytest.raises(InvalidDataError, match=r"holds -5 to 1000, more than 8 bit have. Pin what reads it to 16 bit"):
        found.activation(X, I8)


def test_fixed_output_scales_of_the_target_beat_treatment_and_method():
    scale, zero_point = QNN.fixed_output("Sigmoid", I16)
    found = grids(QNN, ranges={S: (-9, 9)})
    assert (found.activation(S, I16).scale, found.activation(S, I16).zero_point) == (scale, zero_point)
    assert found.is_fixed(S, I16)
    mine = grids(QNN, fixed={S: Fixed(range=(0, 4))})
    assert mine.activation(S, I16).scale != scale


def test_a_max_pool_has_the_grid_of_its_input():
    for found in (grids(), grids(fixed={S: Fixed(scale=0.5)}), grids(ranges={S: (-3, 3), M: (-1, 1)}), grids(QNN)):
        for fmt in (I8, I16):
            assert found.activation(M, fmt) == found.activation(S, fmt)
            assert found.method_of(M, fmt) == found.method_of(S, fmt)
    assert grids(fixed={M: Fixed(scale=0.5)}).activation(M, I8).scale == 0.5


def test_coordinates_have_the_fixed_scale_of_the_target():
    rule = J6P.grid_rule
    assert rule is not None
    found = grids(J6P)
    grid = found.activation(G, rule.format)
    assert grid.threshold == pytest.approx(rule.threshold(1.0), rel=1e-6)
    assert found.is_fixed(G, rule.format)
    assert not found.is_fixed(G, I8)


def test_a_method_without_range_is_an_error_that_names_the_tensor():
    found = ranges()
    found.by_method[("mse", 8)][A] = np.nan
    with pytest.raises(InvalidDataError, match=r"'mse' has no range at 8 bit for tensor 'a'; fix its range under"):
        grids(found=found).activation(A, I8)
    assert grids(found=found, fixed={A: Fixed(range=(-1, 1))}).activation(A, I8).scale > 0


@pytest.mark.parametrize("fmt", [I8, I16])
@pytest.mark.parametrize("per_channel", [True, False])
def test_weights_have_a_scale_per_channel_or_one_altogether(fmt, per_channel):
    weight = grids(per_channel=per_channel).weight(0, fmt)
    assert weight.scales.shape == ((4,) if per_channel else ())
    assert weight.axis == (0 if per_channel else None)
    scales = weight.scales.reshape(-1, 1, 1, 1) if per_channel else weight.scales
    assert np.abs(weight.values * scales.astype(np.float64) - WEIGHTS).max() <= scales.max() / 2 * (1 + 1e-6)
    assert not weight.zero_points.any()


@pytest.mark.parametrize("symmetric", ["auto", True])
def test_signed_weights_are_symmetric(symmetric):
    for target in (J6M, ORT):
        assert not grids(target, symmetric=symmetric).weight(0, I8).zero_points.any()


def test_weights_of_gemms_have_seven_bits_where_pairs_of_products_saturate():
    full, reduced = grids(ORT).weight(0, I8), grids(ORT, reduced=True).weight(0, I8)
    assert np.abs(full.values.astype(int)).max() == 127
    assert np.abs(reduced.values.astype(int)).max() == 64
    np.testing.assert_array_equal(grids(ORT, reduced=True).weight(0, I16).values, grids(ORT).weight(0, I16).values)


def test_weights_without_symmetry_have_zero_points_where_the_target_knows_them():
    shifted = {"weight": (np.abs(WEIGHTS) + 1).astype(np.float32)}
    settings = GridSettings(method_8="mse", method_16="min_max", symmetric=False)
    weight = Grids(network(), ORT, ranges(), shifted.__getitem__, settings).weight(0, I8)
    assert weight.zero_points.dtype == weight.values.dtype
    assert (weight.zero_points == np.iinfo(weight.values.dtype).min).all()
    with pytest.raises(
        UsageError, match=r"symmetric is false, but weights of target 'j6m' have no zero point; use auto"
    ):
        grids(J6M, symmetric=False)


def test_grids_are_made_once():
    found = grids()
    assert found.activation(A, I8) is found.activation(A, I8)
    assert found.weight(0, I8) is found.weight(0, I8)


@pytest.mark.parametrize(
    ("ends", "fmt", "signed"),
    [
        ((0, 255), I8, False),
        ((-1, 127), I8, True),
        ((0, 127), I8, True),
        ((0, 255), I16, True),
        ((0, 40000), I16, None),
    ],
)
def test_16_bit_integers_are_always_signed(ends, fmt, signed):
    grid = integer_grid(ends, fmt)
    assert (None if grid is None else grid.signed) is signed


def test_settings_are_values():
    assert replace(GridSettings(method_8="mse", method_16="min_max"), method_8="kl").method_8 == "kl"
