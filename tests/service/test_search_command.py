"""``bitbudget search`` and its directory: going on, starting over, limits, one JSON document, progress."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys

import numpy as np
import onnx
import pytest
import yaml

from tests.builders import run, save
from tests.service.command import bitbudget, result_of, search, tree
from tests.study.memory import without_times
from tests.study.small import Files, conv_net, pictures, write

MET, USAGE, NOT_MET, INTERRUPTED = 0, 2, 3, 130


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return write(tmp_path_factory.mktemp("study"), n=120)


@pytest.fixture(scope="module")
def finished(files, tmp_path_factory):
    out = tmp_path_factory.mktemp("finished") / "out"
    assert search(files, out).code == MET
    return out


def results(out):
    return (out / ".bitbudget" / "results.jsonl").read_bytes()


def test_a_finished_directory_prints_its_result_again_without_computing(files, finished):
    before = tree(finished)
    for options in ([], ["--json"], ["--max-evaluations", "1"], ["--max-seconds", "0.001"]):
        ended = search(files, finished, *options)
        assert ended.code == MET
        assert ("Goal met" in ended.out) == ("--json" not in options)
    assert tree(finished) == before


def test_a_missed_goal_is_exit_3_each_time_and_its_directory_is_complete(files, tmp_path):
    out, goal = tmp_path / "out", ("--metric", "top1", "--min-value", "0.999")
    for _ in range(2):
        ended = search(files, out, goal=goal)
        assert ended.code == NOT_MET
        assert "Goal not met" in ended.out
        assert "the float model itself" in ended.out
    result = result_of(out)
    assert result["outcome"] == "not_met"
    assert result["findings"][0]["code"] == "goal-above-float"
    assert all((out / path).is_file() for path in result["artifacts"].values())
    assert result["cost"]["chosen"] == result["cost"]["all_high"]


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--seed", "1"], "search.seed"),
        (["--max-drop", "0.02"], "goal"),
        (["--confidence", "0.9"], "search.confidence"),
        (["--toolchain", "3.2.0"], "target.toolchain"),
        (["--target", "j6e"], "target.name"),
    ],
)
def test_another_spec_is_refused_naming_what_differs(files, finished, options, named):
    before = tree(finished)
    ended = search(files, finished, *options)
    assert ended.code == USAGE
    assert named in ended.err
    assert tree(finished) == before


@pytest.mark.parametrize("role", ["model", "data.calibration", "data.evaluation"])
def test_changed_content_of_a_file_is_another_spec(tmp_path, role):
    files = write(tmp_path / "study", n=40)
    assert search(files, tmp_path / "out").code == MET
    if role == "model":
        save(conv_net(seed=3), files.model.parent)
    else:
        path = files.calibration if role == "data.calibration" else files.evaluation
        arrays = dict(np.load(path))
        arrays["x"] = arrays["x"] * 2
        np.savez(path, **arrays)
    ended = search(files, tmp_path / "out")
    assert ended.code == USAGE
    assert f"different: {role})" in ended.err


def test_moved_files_are_the_same_spec(files, finished, tmp_path):
    moved = Files(*(tmp_path / path.name for path in (files.model, files.calibration, files.evaluation)))
    for old, new in zip((files.model, files.calibration, files.evaluation), vars(moved).values(), strict=True):
        new.write_bytes(old.read_bytes())
    before = results(finished)
    assert search(moved, finished).code == MET
    assert results(finished) == before


def test_other_threads_may_go_on_in_the_same_directory(files, tmp_path):
    assert search(files, tmp_path / "out").code == MET
    one = result_of(tmp_path / "out")
    assert search(files, tmp_path / "out", "--threads", "2").code == MET
    two = result_of(tmp_path / "out")
    assert two["assignment"] == one["assignment"]


def test_a_limit_ends_with_the_best_so_far_and_the_next_call_goes_on(files, tmp_path):
    out = tmp_path / "out"
    ended = search(files, out, "--strategy", "ladder", "--max-evaluations", "1")
    stopped = result_of(out)
    assert (ended.code, stopped["stopped"], stopped["outcome"]) == (MET, "evaluations", "met")
    assert "stopped by evaluations" in ended.out
    assert (out / "model.qdq.onnx").is_file()
    assert search(files, out, "--strategy", "ladder").code == MET
    assert search(files, tmp_path / "whole", "--strategy", "ladder").code == MET
    assert without_times(result_of(out)) == without_times(result_of(tmp_path / "whole"))


def test_a_limit_ends_with_what_was_accepted_for_now_run_on_everything(files, finished, tmp_path):
    out = tmp_path / "out"
    ended = search(files, out, "--max-evaluations", "2")
    stopped = result_of(out)
    assert stopped["stopped"] in ("evaluations", None)
    assert (ended.code == MET) == (stopped["outcome"] == "met")
    assert search(files, out).code == MET
    assert without_times(result_of(out)) == without_times(result_of(finished))


def test_a_limit_before_any_trial_leaves_a_result_without_a_model(files, finished, tmp_path):
    out = tmp_path / "out"
    ended = search(files, out, "--max-seconds", "0.000001")
    result = result_of(out)
    assert (ended.code, result["stopped"], result["outcome"]) == (NOT_MET, "time", "not_met")
    assert (result["assignment"], result["cost"]["chosen"]) == ({}, None)
    assert {path for path in os.listdir(out) if "." in path[1:]} == {
        "report.html",
        "result.json",
        "sensitivity.csv",
        "trials.csv",
    }
    assert search(files, out).code == MET
    assert without_times(result_of(out)) == without_times(result_of(finished))


def test_force_starts_over_and_leaves_foreign_files(files, finished, tmp_path):
    out = tmp_path / "out"
    assert search(files, out).code == MET
    (out / "notes.txt").write_text("mine")
    (out / "horizon" / "mine.yaml").write_text("mine")
    ended = search(files, out, "--seed", "3", "--force", target="ort-cpu")
    assert ended.code == MET
    assert (out / "notes.txt").read_text() == (out / "horizon" / "mine.yaml").read_text() == "mine"
    assert not (out / "horizon" / "quant_config.json").exists()
    assert result_of(out)["seed"] == 3
    (out / "other").mkdir()
    assert search(files, out / "other").code == MET


def test_a_foreign_directory_is_refused_with_and_without_force(files, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    for options in ([], ["--force"]):
        ended = search(files, tmp_path, *options)
        assert ended.code == USAGE
        assert "not empty" in ended.err
    assert tree(tmp_path) == {"notes.txt": b"mine"}


def test_json_is_one_document_on_stdout_and_the_rest_on_stderr(files, tmp_path):
    ended = search(files, tmp_path / "out", "--json")
    assert json.loads(ended.out) == result_of(tmp_path / "out")
    assert "trial   1" in ended.err
    assert search(files, tmp_path / "out", "--json", "--metric", "top2").out == ""


def test_plain_progress_has_a_line_per_trial_in_its_place_and_one_for_each_that_was_completed(files, tmp_path):
    ended = search(files, tmp_path / "out")
    lines = ended.err.splitlines()
    trials = [i for i, line in enumerate(lines) if line.startswith("  trial")]
    numbers = [int(lines[i].split()[1]) for i in trials]
    n_evaluations = result_of(tmp_path / "out")["search"]["evaluations"]
    assert list(dict.fromkeys(numbers)) == list(range(1, n_evaluations + 1))
    again = [lines[i] for k, i in enumerate(trials) if numbers[k] in numbers[:k]]
    assert all("seen on" not in line for line in again), "only what was completed is said again"
    first_table = next(i for i, line in enumerate(lines) if "sensitivity" in line)
    assert trials[0] < first_table < trials[1]
    assert "\x1b" not in ended.err
    assert lines[0].endswith("reading and testing the model")


def test_keys_that_only_a_server_heeds_are_told(files, finished, tmp_path):
    spec = tmp_path / "job.yaml"
    spec.write_text("schema: bitbudget.job/1\nrun: {priority: 3, timeout_s: 60}\n")
    ended = search(files, finished, "--spec", spec)
    assert ended.code == MET
    assert "run.timeout_s is for a server; a local search takes --max-seconds" in ended.err
    assert "run.priority is for the queue of a server" in ended.err
    assert "note:" not in search(files, finished).err


def test_random_calibration_runs_the_flow_without_data(files, tmp_path):
    ended = bitbudget("search", files.model, "--calibration", "random", "--target", "j6m", "--out", tmp_path / "out")
    assert ended.code == MET
    assert "random numbers" in ended.out
    result = result_of(tmp_path / "out")
    assert (result["outcome"], result["metrics"]) == ("not_evaluated", [])
    assert (tmp_path / "out" / "model.qdq.onnx").is_file()


def test_calibration_samples_are_delivered_on_request(files, finished, tmp_path):
    out = tmp_path / "out"
    assert search(files, out, "--export-calibration").code == MET
    document = yaml.safe_load((out / "horizon" / "hb_compile.yaml").read_text())
    assert document["calibration_parameters"]["cal_data_dir"] == "./calibration/x"
    expected = np.load(files.calibration)["x"]
    found = [np.load(out / "calibration" / "x" / f"{n}.npy") for n in range(len(expected))]
    np.testing.assert_array_equal(np.concatenate(found), expected)
    assert len(list((out / "calibration" / "x").iterdir())) == len(expected)
    plain = result_of(finished)
    assert without_times(result_of(out)) == without_times(plain)
    before = results(out)
    assert search(files, out).code == MET  # delivery is no part of the spec
    assert (out / "calibration").exists()  # so little is delivered anyway, since Horizon's compiler needs it
    assert results(out).startswith(before)


def test_the_compiler_of_the_vendor_needs_nothing_but_the_folder(finished):
    for name in ("hb_compile.yaml", "hb_compile_load.yaml"):
        document = yaml.safe_load((finished / "horizon" / name).read_text())
        calibration = document["calibration_parameters"]
        named = [document["model_parameters"]["onnx_model"], calibration["quant_config"]]
        assert all((finished / path).is_file() for path in named)
        samples = list((finished / calibration["cal_data_dir"]).iterdir())
        (shape,) = {np.load(sample).shape for sample in samples}
        assert "x".join(map(str, shape)) == document["input_parameters"]["input_shape"]
        config = json.loads((finished / calibration["quant_config"]).read_text())["node_config"]
        graph = onnx.load(finished / named[0]).graph
        assert set(config) <= {node.name for node in graph.node}
        told = {"QuantizeLinear", "DequantizeLinear", "Cast", "Identity"}
        assert {node.name for node in graph.node if node.op_type not in told} == set(config)


def test_the_float_model_of_the_vendor_folder_is_the_one_that_was_given(files, finished):
    model = onnx.load(finished / "horizon" / "model.onnx")
    assert any("tolerance" in one.value for one in model.metadata_props)
    feeds = {"x": np.load(files.calibration)["x"][:2]}
    expected = run(onnx.load(files.model), feeds)
    for name, values in run(model, feeds).items():
        np.testing.assert_allclose(values, expected[name], rtol=1e-5, atol=1e-6)


def test_exported_samples_stay_inside_whatever_the_input_is_called(files, tmp_path):
    proto = onnx.load(files.model)
    proto.graph.input[0].name = proto.graph.node[0].input[0] = "../x"
    model = save(proto, tmp_path)
    np.savez(tmp_path / "c.npz", **{"../x": pictures(3, seed=1)})
    out = tmp_path / "out"
    ended = bitbudget(
        *("search", model, "--calibration", "random", "--target", "j6m", "--out", out, "--export-calibration")
    )
    assert ended.code == MET, ended.err
    assert {path.name for path in (out / "calibration").iterdir()} == {".._x"}
    assert not (tmp_path / "x").exists()


def command(files, out, *options):
    program = [sys.executable, "-c", "from bitbudget.__main__ import main; main()", "search", *files.arguments]
    return [*program, "--target", "j6m", "--max-drop", "0.01", "--out", str(out), *options]


def test_an_interrupt_leaves_a_valid_directory_that_goes_on(tmp_path):
    files = write(tmp_path / "study", n=1500)
    out = tmp_path / "out"
    ladder = ("--strategy", "ladder")
    with subprocess.Popen(
        command(files, out, *ladder), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        for line in process.stderr:
            if "trial   1" in line:
                process.send_signal(signal.SIGINT)
                break
        rest = process.stderr.read()
        process.stdout.read()
        assert process.wait(60) == INTERRUPTED, rest
    result = result_of(out)
    assert (result["stopped"], result["outcome"]) == ("interrupt", "met")
    assert all((out / path).is_file() for path in result["artifacts"].values())
    assert search(files, out, *ladder).code == MET
    assert search(files, tmp_path / "whole", *ladder).code == MET
    assert without_times(result_of(out)) == without_times(result_of(tmp_path / "whole"))


def test_a_terminal_gets_a_live_bar_and_the_trials(files, tmp_path):
    master, slave = pty.openpty()
    with subprocess.Popen(
        command(files, tmp_path / "out"), stdout=subprocess.DEVNULL, stderr=slave, env={**os.environ, "TERM": "xterm"}
    ) as process:
        os.close(slave)
        seen = b""
        try:
            while chunk := os.read(master, 65536):
                seen += chunk
        except OSError:
            pass  # the other end is closed
        assert process.wait(60) == MET
    os.close(master)
    assert b"trial   1" in seen
    assert b"\x1b[" in seen
