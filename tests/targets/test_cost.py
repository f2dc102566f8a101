from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from search.assignment import Assignment
from search.graph.network import Network
from search.precision import Format, Precision
from search.targets import cost_tables
from search.targets.cost import CostModel
from search.targets.kernels import kernel_of
from search.targets.legalise import legalise, uniform
from search.targets.pins import Pin, resolve_pins
from search.targets.target import Target, load_target, target_names
from tests.targets.networks import Sketch, random_network

P, F = Precision, Format
J6M, J6P, ORT = (load_target(name, toolchain=None) for name in ("j6m", "j6p", "ort-cpu"))


def random_rows(model: CostModel, n: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.stack([rng.integers(0, len(legal), n) for legal in model.choices], axis=1).astype(np.uint8)


@pytest.mark.parametrize("name", target_names())
def test_the_table_walk_equals_the_plain_sum_to_the_last_bit(name):
    for seed in range(12):
        network = random_network(seed, 14)
        precision = {network.outputs[0]: "int16"} if seed % 2 else {}
        model = CostModel(network, load_target(name, toolchain=None), precision)
        rows = random_rows(model, 60, seed)
        assert model.costs(rows).tolist() == [model.cost(model.decode(row)) for row in rows]


@pytest.mark.parametrize("name", ["j6m", "j6p", "ort-cpu"])
def test_tensors_with_many_readers_are_priced_alike(name, monkeypatch):
    sketch = Sketch()
    x = sketch.input(elements=333)
    hub = sketch.add("Conv", [x], output="hub", elements=777)
    for i in range(12):
        sketch.add(("Conv", "Sigmoid", "Add")[i % 3], [hub, hub] if i % 3 == 2 else [hub], output=f"y{i}")
        sketch.add("Sigmoid", [x], output=f"z{i}")
    network = sketch.done()
    model = CostModel(network, load_target(name, toolchain=None))
    rows = random_rows(model, 200, 1)
    assert any(isinstance(table, cost_tables.SplitTable) for table in model._tables.tensors)
    assert model.costs(rows).tolist() == [model.cost(model.decode(row)) for row in rows]

    monkeypatch.setattr(cost_tables, "LARGEST_TABLE", 1)
    for seed in range(6):
        other = CostModel(random_network(seed, 12), load_target(name, toolchain=None))
        rows = random_rows(other, 40, seed)
        assert other.costs(rows).tolist() == [other.cost(other.decode(row)) for row in rows]


def test_many_assignments_are_walked_in_chunks():
    model = CostModel(random_network(3), J6M)
    rows = random_rows(model, 2 * cost_tables.CHUNK + 5, 0)
    whole = model.costs(rows)
    assert whole[-3:].tolist() == model.costs(rows[-3:]).tolist()
    assert model.costs(rows[:0]).tolist() == []
    assert model.indices(rows[:2]).tolist() == (whole[:2] / model.all_low_cost).tolist()


def test_rows_that_do_not_fit_are_our_mistake():
    model = CostModel(random_network(3), J6M)
    rows = random_rows(model, 4, 0)
    with pytest.raises(ValueError, match=r"index_array must be uint8 \[n, 10\], got uint8 \[4, 9\]"):
        model.costs(rows[:, :9])
    with pytest.raises(ValueError, match="got int64"):
        model.costs(rows.astype(np.int64))  # type: ignore[arg-type]
    rows[0, 0] = 200
    with pytest.raises(ValueError, match="not a choice"):
        model.costs(rows)


def test_encode_and_decode_are_inverse():
    model = CostModel(random_network(5), J6P)
    row = random_rows(model, 1, 2)[0]
    assert model.encode(model.decode(row)).tolist() == row.tolist()


def one_conv(target: Target, precision: Precision, *, macs: int = 10**9) -> tuple[CostModel, Assignment]:
    sketch = Sketch()
    first = sketch.add("Conv", [sketch.input(elements=4000)], elements=2000, macs=macs)
    sketch.add("Conv", [first], output="y", macs=macs)
    return CostModel(sketch.done(), target), Assignment((precision, P.A8W8))


def picoseconds(amount: int, *rates: float) -> int:
    exact = Fraction(amount) * 10**12
    for rate in rates:
        exact /= Fraction(rate)
    return round(exact)


def test_a_group_costs_the_longer_of_compute_and_memory_plus_its_vector_work():
    model, assignment = one_conv(J6M, P.A16W8)
    cost = J6M.cost
    own = model.breakdown(assignment).groups[0]
    peak = cost.peak_macs_per_s.value * cost.utilization.value
    assert own.compute.picoseconds == pytest.approx(picoseconds(10**9, peak, cost.relative_rate[P.A16W8].value), abs=1)
    # Inputs and outputs in int16, weights in int8.
    assert own.memory.picoseconds == picoseconds(4000 * 2 + 2000 * 2 + 8 * 64, cost.bytes_per_s.value)
    assert own.vector.picoseconds == picoseconds(2000, cost.elements_per_s["gemm"][F.INT16].value)
    assert own.picoseconds == own.compute.picoseconds + own.vector.picoseconds
    model, assignment = one_conv(J6M, P.A16W8, macs=10)
    own = model.breakdown(assignment).groups[0]
    assert own.picoseconds == own.memory.picoseconds + own.vector.picoseconds


def test_casts_and_both_ends_of_the_model_are_priced():
    model, assignment = one_conv(J6M, P.A16W8)
    found = model.breakdown(assignment).casts
    # The input is quantized, the middle is written in int8 for its only reader, the accumulator handed out.
    assert [(c.tensor, c.reader, c.stored, c.goal) for c in found] == [
        (0, None, F.FP32, F.INT16),
        (2, None, None, F.FP32),
    ]
    bandwidth = J6M.cost.cast_bytes_per_s["float"].value
    assert found[0].microseconds == picoseconds(4000 * (4 + 2), bandwidth) / 1e6
    assert found[1].microseconds == picoseconds(1000 * 8, bandwidth) / 1e6


def test_the_breakdown_adds_up_to_the_cost():
    for seed in range(5):
        model = CostModel(random_network(seed), J6M)
        assignment = model.decode(random_rows(model, 1, seed)[0])
        parts = model.breakdown(assignment)
        total = sum(own.picoseconds for own in parts.groups) / 1e6 + sum(cast.microseconds for cast in parts.casts)
        assert parts.total == model.cost(assignment) == pytest.approx(total, rel=1e-12)
        assert parts.assumed_share == model.assumed_share(assignment)
        assert 0 <= parts.assumed_share <= 1


def test_integer_inputs_need_no_quantizer_and_integer_outputs_no_dequantizer():
    def casts(integers: tuple[int, int] | None, outputs: dict[str, str]) -> int:
        sketch = Sketch()
        sketch.add("Conv", [sketch.input(integers=integers)], output="y")
        model = CostModel(sketch.done(), J6M, outputs)
        return len(model.breakdown(Assignment((P.A8W8,))).casts)

    assert casts(None, {}) == 2
    assert casts((0, 255), {}) == 1
    assert casts((0, 255), {"y": "int8"}) == 0


def chain(n: int) -> Network:
    sketch = Sketch()
    value = sketch.input()
    for i in range(n):
        value = sketch.add("Add", [value], output="y" if i == n - 1 else "")
    return sketch.done()


def test_one_island_of_int16_is_cheaper_than_three_when_only_casts_differ():
    model = CostModel(chain(9), J6M)

    def cost(wide: set[int]) -> float:
        return model.cost(Assignment(tuple(P.INT16 if g in wide else P.INT8 for g in range(9))))

    together, apart = {3, 4, 5}, {1, 4, 7}
    bodies = [
        model.breakdown(Assignment(tuple(P.INT16 if g in w else P.INT8 for g in range(9)))) for w in (together, apart)
    ]
    assert len({sum(own.picoseconds for own in body.groups) for body in bodies}) == 1
    assert [len(body.casts) for body in bodies] == [4, 8]
    assert cost(together) < cost(apart)


def test_an_integer_gemm_pays_for_the_kernel_it_loses_where_its_output_stays_float():
    sketch = Sketch()
    value = sketch.add("Conv", [sketch.input()], macs=10**9)
    sketch.add("Sigmoid", [value], output="y")
    model = CostModel(sketch.done(), ORT)
    fused, lost = (Assignment((P.A8W8, p)) for p in (P.INT8, P.FP32))
    extra = ORT.cost.unfused_rate["spatial"][P.A8W8].value
    expected = 10**9 / (ORT.cost.peak_macs_per_s.value * ORT.cost.utilization.value * extra) * 1e6
    found = [cast for cast in model.breakdown(lost).casts if cast.reader is None and cast.stored is F.INT8]
    assert [cast.microseconds for cast in found] == [pytest.approx(expected)]
    assert (found[0].goal, found[0].tensor) == (F.FP32, 1)
    assert all(cast.tensor != 1 for cast in model.breakdown(fused).casts)
    # In float from the start the gemm is cheaper than with a kernel lost.
    assert model.cost(Assignment((P.FP32, P.FP32))) < model.cost(lost)


def test_kernels_are_told_apart_by_their_weights():
    def kernel(shape: tuple[int, ...], *, op_type: str = "Conv", kinds: str = "a") -> str | None:
        sketch = Sketch()
        reads = [sketch.input(f"x{i}") for i in range(len(kinds))]
        sketch.add(op_type, reads, kinds=kinds, output="y")
        network = sketch.done()
        constants = tuple(replace(constant, shape=shape) for constant in network.constants)
        return kernel_of(replace(network, constants=constants), 0)

    assert kernel((16, 8, 3, 3)) == "spatial"
    assert kernel((16, 1, 3, 3)) == "depthwise"
    assert kernel((16, 8, 1, 1)) == "pointwise"
    assert kernel((16, 8, 1)) == "pointwise"
    assert kernel((1, 1, 3, 3)) == "spatial"
    assert kernel((16, 8, 1, 1), kinds="as") == "summed"
    assert kernel((16, 8), op_type="Gemm") == "matmul"
    assert kernel((), op_type="MatMul", kinds="ab") == "product"
    assert kernel((16, 8), op_type="LSTM") == "recurrent"
    assert kernel((), op_type="Sigmoid") is None


def test_an_operator_may_be_rated_apart_from_its_class_and_an_empty_run_counts_once():
    document = J6M.to_json()
    fast = {"value": 1e12, "source": "measured", "certainty": "U", "note": ""}
    document["cost"]["elements_per_s"]["Tanh"] = {"int8": fast}
    document["cost"]["runs_per_s"] = {**fast, "value": 1e4}
    target = Target.from_json(document)
    sketch = Sketch()
    value = sketch.add("Sigmoid", [sketch.input()], elements=9000)
    sketch.add("Tanh", [value], elements=9000, output="y")
    model = CostModel(sketch.done(), target)
    low, mixed = Assignment((P.INT8, P.INT8)), Assignment((P.INT8, P.INT16))
    vectors = [[own.vector.picoseconds for own in model.breakdown(one).groups] for one in (low, mixed)]
    lut = J6M.cost.elements_per_s["lut"]
    assert vectors[0] == [picoseconds(9000, lut[F.INT8].value), picoseconds(9000, 1e12)]
    assert vectors[1] == [picoseconds(9000, lut[F.INT8].value), picoseconds(9000, lut[F.INT16].value)]
    plain = CostModel(model.network, J6M)
    gained = picoseconds(9000, lut[F.INT8].value) - picoseconds(9000, 1e12)
    assert model.cost(low) == pytest.approx(plain.cost(low) + 100 - gained / 1e6, rel=1e-9)
    assert model.costs(model.encode(low)[None]).tolist() == [model.cost(low)]


@pytest.mark.parametrize("name", ["j6e", "j6m", "j6p", "j6h", "ort-cpu"])
def test_the_index_is_one_at_all_low_and_above_at_all_high(name):
    target = load_target(name, toolchain=None)
    sketch = Sketch()
    value = sketch.input()
    for _ in range(3):
        value = sketch.add("Conv", [value], macs=10**9)
    sketch.add("Gemm", [value], output="y")
    network = sketch.done()
    model = CostModel(network, target)
    low = legalise(network, target, uniform(network, target, "low")).effective
    high = legalise(network, target, uniform(network, target, "high")).effective
    assert model.index(low) == 1.0
    assert model.index(high) > 1.3


def test_pins_below_all_low_may_bring_the_index_below_one_on_j6p():
    sketch = Sketch()
    value = sketch.add("Conv", [sketch.input()], macs=1000)
    for _ in range(5):
        value = sketch.add("Sigmoid", [value], elements=50_000)
    sketch.add("Conv", [value], output="y", macs=1000)
    network = sketch.done()
    model = CostModel(network, J6P)
    table = resolve_pins(network, J6P, [Pin(match="Sigmoid", exactly="int8")])
    pinned = legalise(network, J6P, uniform(network, J6P, "low"), pins=table).effective
    assert model.index(pinned) < 1.0


def test_fp16_is_dear_on_j6m_and_costs_as_int16_on_j6p():
    network = chain(1)
    dear = [CostModel(network, J6M).breakdown(Assignment((p,))).groups[0].vector for p in (P.INT8, P.FP16)]
    assert dear[1].picoseconds >= 8 * dear[0].picoseconds
    alike = [CostModel(network, J6P).breakdown(Assignment((p,))).groups[0].picoseconds for p in (P.INT16, P.FP16)]
    assert alike[0] == alike[1]


def test_gathering_from_a_large_table_pays_for_the_rows_it_returns():
    sketch = Sketch()
    sketch.add("Gather", [], output="y", elements=64, operand=10**6)
    model = CostModel(sketch.done(), J6M)
    memory = model.breakdown(Assignment((P.INT8,))).groups[0].memory
    assert memory.picoseconds == picoseconds(64 + 64, J6M.cost.bytes_per_s.value)


def test_an_illegal_assignment_is_our_mistake():
    with pytest.raises(ValueError, match="cannot run at a8w8"):
        CostModel(chain(1), J6M).cost(Assignment((P.A8W8,)))


def test_equal_costs_compare_equal_whatever_the_order_of_the_groups():
    sketch = Sketch()
    x = sketch.input()
    for i in range(6):
        sketch.add("Sigmoid", [x], output=f"y{i}", elements=997)
    model = CostModel(sketch.done(), J6M)
    rows = np.eye(6, dtype=np.uint8)
    assert len(set(model.costs(rows).tolist())) == 1
