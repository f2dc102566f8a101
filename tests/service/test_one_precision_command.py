"""``bitbudget search --target tx5105c`` and ``--dump-layers`` from the command line."""

from __future__ import annotations

import importlib.util
import io

import numpy as np
import onnxruntime as ort
import pytest

from search.study.delivering import LAYER_SAMPLES
from tests.service.command import result_of, search, tree
from tests.study.small import write

MET, USAGE, NOT_MET = 0, 2, 3
LOOSE = ("--max-drop", "0.5")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return write(tmp_path_factory.mktemp("study"), n=80)


@pytest.fixture(scope="module")
def finished(files, tmp_path_factory):
    out = tmp_path_factory.mktemp("finished") / "out"
    assert search(files, out, target="tx5105c", goal=LOOSE).code == MET
    return out


def test_the_chip_needs_no_strategy_by_name(finished):
    result = result_of(finished)
    assert (result["strategy"], result["outcome"], result["minimal"]) == ("auto", "met", None)
    assert result["cost"]["chosen"] == 1.0
    assert all((finished / path).is_file() for path in result["artifacts"].values())
    knight = {path.name for path in (finished / "knight").iterdir()}
    assert knight == {"model.qdq.onnx", "run_config.json", "infer.py", "run.sh", "README.md"}


def test_a_ladder_on_this_chip_is_a_usage_error(files, tmp_path):
    ended = search(files, tmp_path / "out", "--strategy", "ladder", target="tx5105c", goal=LOOSE)
    assert ended.code == USAGE
    assert "tx5105c runs everything at a8w8" in ended.err
    assert "--strategy auto" in ended.err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("strategy", ["optuna", "exhaustive"])
def test_other_strategies_are_refused(files, tmp_path, strategy):
    ended = search(files, tmp_path / "out", "--strategy", strategy, target="tx5105c", goal=LOOSE)
    assert ended.code == USAGE
    assert strategy in ended.err


def test_a_missed_goal_still_delivers_the_best_setting(files, tmp_path):
    out = tmp_path / "out"
    ended = search(files, out, "--strategy", "auto", target="tx5105c", goal=("--max-drop", "0"))
    assert ended.code == NOT_MET
    result = result_of(out)
    assert result["calibration"]["method_8"] in {row["method"] for row in result["calibration"]["candidates"]}
    assert (out / "knight" / "run.sh").is_file()


def test_the_infer_file_measures_what_the_result_says(files, finished):
    spec = importlib.util.spec_from_file_location("delivered_infer", finished / "knight" / "infer.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    options = ort.SessionOptions()
    options.add_session_config_entry("session.disable_quant_qdq", "1")
    model = str(finished / "model.qdq.onnx")
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])

    class Executor:
        input_nodes, input_types, iteration, batch_size, dataset = ("x",), {"x": 1}, 5, 16, None

        def forward(self, x):
            return session.run(None, {"x": x})

    metric = result_of(finished)["metrics"][0]
    assert module.evaluate(Executor(), str(files.evaluation)) == pytest.approx(metric["qdq"])
    order = result_of(finished)["calibration"]
    assert len(module.ORDER) == order["samples"]
    assert (module.SEED, order["order"]) == (0, {"kind": "seeded", "seed": 0})


def test_a_run_that_is_cut_short_goes_on_to_the_same_answer(files, finished, tmp_path):
    out = tmp_path / "out"
    assert search(files, out, "--max-evaluations", "4", target="tx5105c", goal=LOOSE).code in (MET, NOT_MET)
    assert result_of(out)["stopped"] == "evaluations"
    assert search(files, out, target="tx5105c", goal=LOOSE).code == MET
    assert result_of(out)["calibration"] == result_of(finished)["calibration"]


def test_random_calibration_exports_settings_that_draw_their_own_numbers(files, tmp_path):
    out = tmp_path / "out"
    ended = search(files, out, "--calibration", "random", target="tx5105c", goal=LOOSE)
    assert ended.code in (MET, NOT_MET)
    assert "infer_auto" in (out / "knight" / "run_config.json").read_text()


def test_layers_are_dumped_on_request_and_taken_away_again(files, tmp_path):
    out = tmp_path / "out"
    assert search(files, out, "--dump-layers", goal=LOOSE).code == MET
    for kind in ("float", "quantized"):
        found = sorted(path.name for path in (out / "layers" / kind).iterdir())
        assert found == [f"{n}.npz" for n in range(LAYER_SAMPLES)]
    with np.load(io.BytesIO((out / "layers" / "float" / "0.npz").read_bytes())) as archive:
        assert {"x", "c1", "r1", "c2", "r2", "p", "f", "logits"} == set(archive.files)
    before = tree(out)
    assert search(files, out, "--dump-layers", goal=LOOSE).code == MET
    assert tree(out) == before
    assert search(files, out, goal=LOOSE).code == MET  # delivery is no part of the spec
    assert not (out / "layers").exists()
