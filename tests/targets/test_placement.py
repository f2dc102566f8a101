from __future__ import annotations

import pytest

from search.assignment import Assignment
from search.precision import Format, Precision
from search.targets.placement import Cast, place
from search.targets.target import load_target
from tests.targets.networks import Sketch

P, F = Precision, Format
J6M, J6M35 = (load_target("j6m", toolchain=v) for v in ("3.0.17", "3.5.0"))
J6P, ORT = load_target("j6p", toolchain=None), load_target("ort-cpu", toolchain=None)


def fork() -> Sketch:
    """x -> a; a -> b and c; both are outputs."""
    sketch = Sketch()
    a = sketch.add("Conv", [sketch.input()])
    sketch.add("Conv", [a], output="b")
    sketch.add("Conv", [a], output="c")
    return sketch


def test_a_tensor_is_written_once_in_the_highest_format_asked_and_the_other_reader_casts():
    network = fork().done()
    placement = place(network, J6M, Assignment((P.A8W8, P.A8W8, P.A16W8)))
    assert placement.stored == (F.INT8, F.INT16, F.FP32, F.FP32)
    assert placement.read == ((F.INT8,), (F.INT8,), (F.INT16,))
    assert list(placement.casts(network)) == [Cast(1, 1, 0, F.INT16, F.INT8)]
    assert placement.constants == (F.INT8, F.INT8, F.INT8)


def test_model_inputs_follow_their_readers():
    sketch = Sketch()
    x, unread = sketch.input("x"), sketch.input("unread")
    sketch.add("Conv", [x], output="y")
    sketch.add("Sigmoid", [x], output="z")
    placement = place(sketch.done(), J6M, Assignment((P.A8W8, P.FP16)))
    assert placement.stored[x] is F.FP16
    assert placement.stored[unread] is F.FP32
    assert placement.read == ((F.INT8,), (F.FP16,))


@pytest.mark.parametrize(("precision", "stored"), [("high", F.FP32), ("int8", F.INT8), ("int16", F.INT16)])
def test_a_gemm_that_feeds_only_outputs_hands_out_its_accumulator_unless_told_otherwise(precision, stored):
    network = fork().done()
    placement = place(network, J6M, Assignment((P.A8W8,) * 3), output_precision={"b": precision})
    assert placement.stored[2] is stored
    assert placement.stored[3] is F.FP32


def test_an_output_that_is_also_read_stays_integer_on_j6m():
    sketch = Sketch()
    a = sketch.add("Conv", [sketch.input()], output="a")
    sketch.add("Conv", [a], output="y")
    assert place(sketch.done(), J6M, Assignment((P.A8W8, P.A8W8))).stored[a] is F.INT16
    assert place(sketch.done(), J6P, Assignment((P.A8W8, P.A8W8))).stored[a] is F.FP16
    assert place(sketch.done(), ORT, Assignment((P.A8W8, P.A8W8))).stored[a] is F.FP32


def test_a_reader_never_gains_precision_that_the_writer_did_not_have():
    sketch = Sketch()
    pooled = sketch.add("MaxPool", [sketch.input()])
    sketch.add("Sigmoid", [pooled], output="y")
    network = sketch.done()
    placement = place(network, J6M, Assignment((P.INT8, P.INT16)))
    assert placement.stored[pooled] is F.INT8
    assert list(placement.casts(network)) == [Cast(1, 1, 0, F.INT8, F.INT16)]


def test_average_pooling_and_normalisation_may_write_more_than_they_read():
    sketch = Sketch()
    pooled = sketch.add("AveragePool", [sketch.input()])
    normed = sketch.add("LayerNormalization", [pooled], operand=8)
    table = sketch.add("Sigmoid", [normed])
    sketch.add("Conv", [table], output="y")
    placement = place(sketch.done(), J6M, Assignment((P.INT8, P.INT8, P.INT16, P.A8W8)))
    assert placement.stored[1:] == (F.INT8, F.INT16, F.INT8, F.FP32)
    assert placement.constants == (F.INT16, F.INT8)


def test_elementwise_groups_write_their_own_type():
    sketch = Sketch()
    x = sketch.input()
    added = sketch.add("Add", [x, x], operand=4)
    sketch.add("Conv", [added], output="y")
    placement = place(sketch.done(), J6M, Assignment((P.INT8, P.A16W8)))
    assert placement.stored[added] is F.INT8
    assert placement.constants[0] is F.INT8


@pytest.mark.parametrize(
    ("target", "precision", "read"),
    [
        (J6M, P.A16W8, F.INT8),
        (J6M, P.FP16, F.FP16),
        (J6M35, P.A16W8, F.INT16),
        (J6M35, P.A8W16, F.INT8),
        (J6P, P.A8W8, F.FP16),
        (ORT, P.A8W8, F.INT8),
        (ORT, P.FP32, F.FP32),
    ],
)
def test_the_summed_input_of_a_fused_addition(target, precision, read):
    sketch = Sketch()
    x = sketch.input()
    sketch.add("Conv", [x, x], kinds="as", output="y")
    assert place(sketch.done(), target, Assignment((precision,))).read[0] == (precision.activation, read)


def test_grids_are_int16_whatever_the_group_runs_at():
    sketch = Sketch()
    image, grid = sketch.input("image"), sketch.add("Conv", [sketch.input("theta")])
    warped = sketch.add("GridSample", [image, grid], kinds="fg", output="y", operand=6)
    network = sketch.done()
    placement = place(network, J6M, Assignment((P.A8W8, P.INT8)))
    assert placement.read[1] == (F.INT8, F.INT16)
    assert (placement.stored[grid], placement.stored[warped]) == (F.INT16, F.INT8)
    assert place(network, J6P, Assignment((P.A8W8, P.FP16))).read[1] == (F.FP16, F.INT16)
    assert place(network, ORT, Assignment((P.A8W8, P.FP32))).read[1] == (F.FP32, F.FP32)


def test_a_constant_grid_is_int16_too():
    sketch = Sketch()
    x = sketch.input()
    sketch.add("GridSample", [x], kinds="f", output="y", operand=6)
    assert place(sketch.done(), J6M, Assignment((P.INT8,))).constants == (F.INT16,)


def test_the_second_input_of_a_matmul_reads_the_weight_format():
    sketch = Sketch()
    x = sketch.input()
    sketch.add("MatMul", [x, x], kinds="ab", output="y")
    assert place(sketch.done(), J6M, Assignment((P.A8W16,))).read[0] == (F.INT8, F.INT16)


def test_gemms_write_fp16_straight_to_fp16_readers_on_j6p():
    sketch = Sketch()
    a = sketch.add("Conv", [sketch.input()])
    sketch.add("Sigmoid", [a], output="y")
    network = sketch.done()
    placement = place(network, J6P, Assignment((P.A8W8, P.FP16)))
    assert placement.stored == (F.INT8, F.FP16, F.FP16)
    assert not list(placement.casts(network))


def test_an_illegal_assignment_is_our_mistake():
    with pytest.raises(ValueError, match=r"'Conv_0' cannot run at int8"):
        place(fork().done(), J6M, Assignment((P.INT8, P.A8W8, P.A8W8)))
    with pytest.raises(ValueError, match="2 precisions for 3 groups"):
        place(fork().done(), J6M, Assignment((P.A8W8, P.A8W8)))


def test_the_digest_tells_placements_apart_and_not_the_ways_to_them():
    network = fork().done()
    low = place(network, J6M, Assignment((P.A8W8,) * 3))
    assert low.digest == place(network, load_target("j6e", toolchain=None), Assignment((P.A8W8,) * 3)).digest
    assert low.digest != place(network, J6M, Assignment((P.A8W8, P.A8W8, P.A8W16))).digest
