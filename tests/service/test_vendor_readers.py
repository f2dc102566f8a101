"""What an independent reader makes of the delivered folder is what was measured."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from tests.builders import run
from tests.readers.folder import of_hmct, of_knight, of_model, of_overrides, of_setter, share, stated
from tests.service.command import search
from tests.study.small import conv_net, pictures, write

READERS = {
    "j6m": (of_hmct, of_overrides),
    "j6p": (of_hmct,),
    "tx5105c": (of_knight, of_overrides),
}


@pytest.fixture(scope="module", params=READERS)
def delivered(request, tmp_path_factory):
    """A finished search: its target and its folder."""
    folder = tmp_path_factory.mktemp(request.param)
    files = write(folder, conv_net(), n=64)
    out = folder / "out"
    assert search(files, out, target=request.param, goal=("--max-drop", "0.5")).code == 0
    return request.param, out


def test_every_scale_reaches_every_file(delivered):
    target, out = delivered
    wanted = stated(out)
    assert wanted
    assert share(of_model(out / "model.qdq.onnx"), wanted) == 1.0
    for reader in READERS[target]:
        assert share(reader(out), wanted) == 1.0, reader.__name__


def test_what_the_vendor_is_handed_computes_what_was_measured(delivered):
    target, out = delivered
    handed = {"j6m": "horizon/", "j6p": "horizon/", "tx5105c": "knight/"}.get(target)
    if handed is None:
        pytest.skip("ONNX Runtime is handed the measured file itself")
    feeds = {"x": pictures(4, seed=5)}
    measured, theirs = (onnx.load(out / path) for path in ("model.qdq.onnx", f"{handed}model.qdq.onnx"))
    for name, expected in run(measured, feeds).items():
        noise = np.square(run(theirs, feeds)[name].astype(np.float64) - expected).sum()
        assert noise <= 1e-8 * np.square(expected.astype(np.float64)).sum()


def test_a_reader_sees_a_scale_that_is_wrong(delivered, tmp_path):
    _, out = delivered
    model = onnx.load(out / "model.qdq.onnx")
    name = next(node.input[1] for node in model.graph.node if node.op_type == "QuantizeLinear")
    for n, tensor in enumerate(model.graph.initializer):
        if tensor.name == name:
            model.graph.initializer[n].CopyFrom(
                numpy_helper.from_array(numpy_helper.to_array(tensor) * np.float32(2), name)
            )
    onnx.save(model, tmp_path / "wrong.onnx")
    assert share(of_model(tmp_path / "wrong.onnx"), stated(out)) < 1.0


def test_modules_of_the_plugin_have_thresholds_of_the_search(delivered):
    target, out = delivered
    if target not in ("j6m", "j6p"):
        pytest.skip("no plugin on this target")
    assert all(threshold > 0 for threshold in of_setter(out).values())
