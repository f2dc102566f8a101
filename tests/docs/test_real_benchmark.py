"""The benchmark of shipped and exported networks: its list is read whole, and its rows tell right from wrong."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

from benchmarks.real.listing import Network, Samples, read_list
from benchmarks.real.rows import command, compared, run
from tests.builders import conv, model, node, save
from tests.docs.pages import ROOT

RNG = np.random.default_rng(8)
KINDS = ("image", "image-0-1", "audio", "bytes", "noise", "ones", "zeros", "constant")
N = 24


def test_every_line_of_the_list_is_understood() -> None:
    listed = read_list()
    assert len({one.name for one in listed.networks}) == len(listed.networks) > 30
    assert all("==" in package for package in (*listed.packages, *listed.libraries))
    for network in listed.networks:
        way, _, opset = network.exporter.partition("-")
        assert (way in ("torchscript", "dynamo") and opset.isdigit()) or (not way and network.source.endswith(".onnx"))
        for one in network.samples.values():
            assert one.kind in KINDS or one.kind.startswith("tokens-")
            assert (one.value is None) == bool(one.shape)


def test_a_line_of_another_kind_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    path.write_text("# a comment\n\nmodel | a | b.onnx | x=image 3x8x8\n")
    with pytest.raises(ValueError, match="'model' is neither package, library, file nor export"):
        read_list(path)


def test_a_command_that_takes_too_long_is_a_hang(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.real.rows.LIMIT_S", 0.01)
    assert command(["check", "--help"]).code is None


def channels_last() -> onnx.ModelProto:
    """A network as a channels-last framework exports it, with attention written as Einsum behind it."""
    nodes = [
        node("Transpose", "x", "first", "first", perm=[0, 3, 1, 2]),
        conv("c1", "first", "a", weight="w1", strides=[2, 2]),
        node("Transpose", "a", "al", "last", perm=[0, 2, 3, 1]),
        node("Sub", "al mean", "s", "sub"),
        node("Mul", "s factor", "m", "mul"),
        node("Add", "m beta", "b", "add"),
        node("Max", "b zero", "lo", "max"),
        node("Min", "lo six", "r", "min"),
        node("Reshape", "r tokens", "t", "tokens"),
        node("Einsum", "t wq", "q", "query", equation="bid,de->bie"),
        node("Einsum", "q t", "score", "score", equation="bid,bjd->bij"),
        node("Softmax", "score", "p", "softmax", axis=-1),
        node("Einsum", "p t", "o", "mix", equation="bij,bjd->bid"),
        node("ReduceMean", "o middle", "y", "mean", keepdims=0),
    ]
    constants = {
        "w1": RNG.normal(size=(8, 3, 3, 3)) / 5,
        "wq": RNG.normal(size=(8, 8)) / 3,
        "zero": np.array(0.0),
        "six": np.array(6.0),
        "tokens": np.array([0, -1, 8]),
        "middle": np.array([1]),
        **{name: RNG.uniform(0.5, 1.0, size=8) for name in ("mean", "factor", "beta")},
    }
    return model(nodes, ["x[N,13,13,3]"], ["y[N,8]"], constants, opset=18)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    save(channels_last(), folder, "channels_last.onnx")
    for role in ("calibration", "evaluation"):
        images = RNG.normal(size=(N, 13, 13, 3)).astype(np.float32)
        np.savez(folder / f"channels_last-{role}.npz", x=images)
        digits = np.load(ROOT / f"examples/digits/{role}.npz")
        np.savez(folder / f"digits-{role}.npz", **{name: digits[name][:N] for name in digits if name != "labels"})
    (folder / "digits.onnx").write_bytes((ROOT / "examples/digits/digits.onnx").read_bytes())
    return folder


NETWORKS = {
    "channels_last": Network("channels_last", "", "", {"x": Samples("image", (13, 13, 3))}),
    "digits": Network("digits", "", "", {"image": Samples("image", (1, 8, 8))}),
}


@pytest.mark.slow
@pytest.mark.parametrize("target", ["j6m", "j6p", "ort-cpu"])
@pytest.mark.parametrize("name", NETWORKS)
def test_a_row_is_right(models: Path, name: str, target: str) -> None:
    row = run(NETWORKS[name], target, models)
    assert (row.wrong, row.stderr) == ("", "")
    assert row.outcome in ("met", "not_met")
    assert row.delivered.startswith("equal")
    assert row.float_compute == "0.0%"


@pytest.mark.slow
def test_what_is_refused_is_refused_before_anything_is_computed(models: Path) -> None:
    broken = replace(NETWORKS["digits"], name="broken")
    (models / "broken.onnx").write_bytes(b"no model")
    row = run(broken, "j6m", models)
    assert row.outcome.startswith("refused after")
    assert row.wrong == ""


def test_a_delivered_file_that_computes_something_else_is_found(models: Path, tmp_path: Path) -> None:
    network = NETWORKS["channels_last"]
    float_db = {"metrics": [{"name": "sqnr_db", "output": "y", "qdq": 200.0}], "findings": []}
    (tmp_path / "model.qdq.onnx").write_bytes((models / "channels_last.onnx").read_bytes())
    assert compared(network, models, float_db, tmp_path) == ("equal, 200.0 dB", "")
    other = onnx.load(models / "channels_last.onnx")
    next(one for one in other.graph.node if one.name == "max").op_type = "Min"
    onnx.save(other, tmp_path / "model.qdq.onnx")
    said, wrong = compared(network, models, float_db, tmp_path)
    assert said == "differs"
    assert "y: " in wrong
    (tmp_path / "model.qdq.onnx").write_bytes(b"no model")
    assert compared(network, models, float_db, tmp_path)[0] == "does not open"
