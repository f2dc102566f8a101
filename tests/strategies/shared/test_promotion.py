from __future__ import annotations

from search.graph.network import Network
from search.precision import Format, Precision
from search.sensitivity.table import Row, make_table
from search.strategies.shared.promotion import Promotion, concerned_groups
from search.targets.legalise import uniform
from search.targets.rulebook import Rulebook
from search.targets.target import Target
from tests.strategies.nets import J6M, J6P, ORT, chain, group, weights, written
from tests.strategies.simulated import Key, point
from tests.targets.networks import Sketch

P = Precision


def rows(network: Network, *keys: Key, values: tuple[float, ...] | None = None) -> tuple[Row, ...]:
    points = [point(*key) for key in keys]
    given = values or tuple(float(len(keys) - i) for i in range(len(keys)))
    return make_table(network, output="y0", metric="cosine", base="low", points=points, values=given).rows


def promotion(network: Network, target: Target, high: Format = Format.INT16) -> Promotion:
    return Promotion(Rulebook(network, target), uniform(network, target, "low"), high)


def changed(network: Network, target: Target, *keys: Key, high: Format = Format.INT16) -> dict[str, Precision]:
    found = promotion(network, target, high)
    request = found.request(rows(network, *keys))
    return {network.groups[g].name: p for g, p in enumerate(request.precisions) if p is not found.base[g]}


def test_a_tensor_of_a_gemm_concerns_its_readers_only():
    network = chain()
    assert changed(network, J6M, written(network, "conv2")) == {"act2": P.INT16}


def test_a_tensor_of_an_operator_that_writes_its_own_type_concerns_the_writer_too():
    network = chain()
    assert changed(network, J6M, written(network, "act2")) == {"act2": P.INT16, "conv3": P.A16W8}


def test_weights_concern_their_group_and_both_rows_make_a_dual_request():
    network = chain()
    assert changed(network, J6M, weights(network, "conv3")) == {"conv3": P.A8W16}
    both = changed(network, J6M, weights(network, "conv3"), ("activation", network.groups[0].inputs[0].tensor))
    assert both == {"conv3": P.A8W16, "conv0": P.A16W8}
    assert changed(network, J6M, weights(network, "conv3"), written(network, "act2"))["conv3"] is P.A16W16


def test_a_mean_writes_int16_without_reading_it_and_is_left_alone():
    sketch = Sketch()
    one = sketch.add("Conv", [sketch.input()], name="conv")
    two = sketch.add("GlobalAveragePool", [one], name="mean")
    sketch.add("Gemm", [two], name="head", output="y0")
    network = sketch.done()
    assert changed(network, J6M, written(network, "mean")) == {"head": P.A16W8}


def test_the_second_input_of_a_product_of_activations_is_its_weight_side():
    sketch = Sketch()
    a, b = (sketch.add("Conv", [sketch.input(name)], name=f"conv_{name}") for name in "ab")
    sketch.add("MatMul", [a, b], kinds="ab", name="product", output="y0")
    network = sketch.done()
    assert changed(network, J6M, written(network, "conv_b")) == {"product": P.A8W16}
    assert changed(network, J6M, written(network, "conv_a")) == {"product": P.A16W8}


def test_a_summed_input_that_is_always_read_alike_promotes_nobody():
    sketch = Sketch()
    x = sketch.input()
    one = sketch.add("Conv", [x], name="conv_a")
    sketch.add("Conv", [x, one], kinds="as", name="conv_b", output="y0")
    network = sketch.done()
    assert changed(network, J6M, written(network, "conv_a")) == {}  # read as int8 whatever the gemm runs at
    assert changed(network, J6P, written(network, "conv_a")) == {}  # read as fp16


def test_groups_that_are_float_in_the_base_stay():
    network = chain()
    assert changed(network, J6P, written(network, "act2")) == {"conv3": P.A16W8}


def test_float_takes_the_writer_where_it_cannot_hand_out_float_by_itself():
    network = chain()
    assert changed(network, ORT, written(network, "conv2"), high=Format.FP32) == {"act2": P.FP32}
    assert changed(network, ORT, written(network, "act2"), high=Format.FP32) == {"act2": P.FP32, "conv3": P.FP32}
    assert changed(network, ORT, weights(network, "conv3"), high=Format.FP32) == {"conv3": P.FP32}


def test_float_operators_are_never_asked_to_change():
    sketch = Sketch()
    one = sketch.add("Conv", [sketch.input()], name="conv")
    sketch.add("TopK", [one], name="top", output="y0")
    network = sketch.done()
    assert changed(network, J6M, written(network, "conv")) == {}
    assert concerned_groups(network, rows(network, written(network, "conv"))) == {group(network, "conv")}


def test_a_float_tensor_needs_writer_and_readers_in_float():
    network = chain()
    found = concerned_groups(network, rows(network, written(network, "conv2"), weights(network, "conv5")))
    assert found == {group(network, "conv2"), group(network, "act2"), group(network, "conv5")}


def test_the_stronger_row_decides_the_side():
    network = chain()
    keys = (written(network, "act2"), weights(network, "conv3"), weights(network, "conv1"))
    found = promotion(network, J6M)
    table = make_table(
        network, output="y0", metric="cosine", base="low", points=[point(*k) for k in keys], values=[1.0, 3.0, 0.5]
    )
    sides = found.sides([table])
    assert sides[group(network, "conv3")] == "weight"
    assert sides[group(network, "conv1")] == "weight"
    weaker = make_table(
        network, output="y1", metric="l1", base="low", points=[point(*k) for k in keys], values=[100.0, 1.0, 0.0]
    )
    assert found.sides([table, weaker])[group(network, "conv3")] == "activation"
    assert group(network, "act2") not in sides
