"""Bad input: the exit code of the contract, a message that says what and where, and nothing written."""

from __future__ import annotations

import os
import pickle
import zipfile

import numpy as np
import onnx
import pytest

from tests.builders import save
from tests.service.command import bitbudget, search, tree
from tests.study.small import Files, conv_net, labels_of, pictures, two_output_net, write

USAGE, CONTENT = 2, 4


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    return write(tmp_path_factory.mktemp("good"), n=60)


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    return write(tmp_path_factory.mktemp("two"), two_output_net(), n=60)


def check_refused(ended, out, code, *words):
    assert ended.code == code, ended.err
    assert ended.out == ""
    for word in words:
        assert word in ended.err
    assert "Traceback" not in ended.err
    assert "fault of bitbudget" not in ended.err
    assert not out.exists()


def with_model(good, path):
    return Files(path, good.calibration, good.evaluation)


def missing(good, folder):
    return folder / "none.onnx"


def a_directory(good, folder):
    return folder


def text_file(good, folder):
    path = folder / "notes.txt"
    path.write_text("no model at all\n" * 100)
    return path


def empty_file(good, folder):
    path = folder / "empty.onnx"
    path.write_bytes(b"")
    return path


def truncated(good, folder):
    path = folder / "cut.onnx"
    path.write_bytes(good.model.read_bytes()[:-200])
    return path


def nan_weights(good, folder):
    proto = onnx.load(good.model)
    array = onnx.numpy_helper.to_array(proto.graph.initializer[0]).copy()
    array.flat[0] = np.nan
    proto.graph.initializer[0].CopyFrom(onnx.numpy_helper.from_array(array, proto.graph.initializer[0].name))
    return save(proto, folder)


def external_outside(good, folder):
    proto = onnx.load(good.model)
    (folder / "inner").mkdir()
    tensor = proto.graph.initializer[0]
    (folder / "weights.bin").write_bytes(tensor.raw_data)
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../weights.bin")
    return save(proto, folder / "inner")


@pytest.mark.parametrize(
    ("make", "code", "words"),
    [
        (missing, USAGE, ["none.onnx", "does not exist"]),
        (a_directory, CONTENT, ["no file", ".onnx"]),
        (text_file, CONTENT, ["notes.txt", "not an ONNX model"]),
        (empty_file, CONTENT, ["empty.onnx"]),
        (truncated, CONTENT, ["cut.onnx", "truncated"]),
        (nan_weights, CONTENT, ["w1", "NaN"]),
        (external_outside, CONTENT, ["weights.bin"]),
    ],
)
def test_a_model_that_cannot_be_used_is_refused(good, tmp_path, make, code, words):
    ended = search(with_model(good, make(good, tmp_path)), tmp_path / "out")
    check_refused(ended, tmp_path / "out", code, *words)


X = pictures(20, seed=3)
LABELS = labels_of(conv_net(), X)["labels"]


def arrays(folder, **named):
    np.savez(folder / "data.npz", **named)
    return folder / "data.npz"


def other_name(folder):
    return arrays(folder, picture=X, labels=LABELS)


def other_shape(folder):
    return arrays(folder, x=X[:, :, :7], labels=LABELS)


def other_rank(folder):
    return arrays(folder, x=X[:, 0], labels=LABELS)


def no_samples(folder):
    return arrays(folder, x=X[:0], labels=LABELS[:0])


def nan_values(folder):
    bad = X.copy()
    bad[7, 0, 0, 0] = np.nan
    return arrays(folder, x=bad, labels=LABELS)


def infinite_values(folder):
    bad = X.copy()
    bad[3] = np.inf
    return arrays(folder, x=bad, labels=LABELS)


def few_labels(folder):
    return arrays(folder, x=X, labels=LABELS[:-1])


def one_hot_labels(folder):
    return arrays(folder, x=X, labels=np.eye(10)[LABELS])


def float_labels(folder):
    return arrays(folder, x=X, labels=LABELS.astype(np.float32))


def class_too_large(folder):
    return arrays(folder, x=X, labels=LABELS + 10)


def pickled(folder):
    with zipfile.ZipFile(folder / "data.npz", "w") as archive:
        archive.writestr("x.npy", pickle.dumps(X))
    return folder / "data.npz"


def object_array(folder):
    np.savez(folder / "data.npz", x=np.array([X[0], None], dtype=object), allow_pickle=True)
    return folder / "data.npz"


def text_data(folder):
    path = folder / "data.txt"
    path.write_text("1 2 3")
    return path


def empty_data_file(folder):
    path = folder / "data.npz"
    path.write_bytes(b"")
    return path


def empty_folder(folder):
    (folder / "data").mkdir()
    return folder / "data"


def absent(folder):
    return folder / "data.npz"


DATA = [
    (other_name, CONTENT, ["'x'", "picture"]),
    (other_shape, CONTENT, ["'x'", "7"]),
    (other_rank, CONTENT, ["'x'"]),
    (no_samples, CONTENT, ["0"]),
    (nan_values, CONTENT, ["'x'", "NaN", "sample 7"]),
    (infinite_values, CONTENT, ["'x'", "sample 3"]),
    (pickled, CONTENT, ["data.npz", "'x'", "not a NumPy array"]),
    (object_array, CONTENT, ["x"]),
    (text_data, CONTENT, ["data.txt", ".npz"]),
    (empty_data_file, CONTENT, ["data.npz", "empty"]),
    (empty_folder, CONTENT, ["data", "npy"]),
    (absent, USAGE, ["data.npz", "does not exist"]),
]
LABELLED = [
    (few_labels, CONTENT, ["'labels'", "19", "20"]),
    (one_hot_labels, CONTENT, ["'labels'", "argmax"]),
    (float_labels, CONTENT, ["'labels'", "float32"]),
    (class_too_large, CONTENT, ["'labels'", "0 to 9"]),
]


@pytest.mark.parametrize(("make", "code", "words"), [*DATA, *LABELLED])
def test_evaluation_data_that_cannot_be_used_is_refused(good, tmp_path, make, code, words):
    files = Files(good.model, good.calibration, make(tmp_path))
    check_refused(search(files, tmp_path / "out"), tmp_path / "out", code, *words)


@pytest.mark.parametrize(("make", "code", "words"), DATA)
def test_calibration_data_that_cannot_be_used_is_refused(good, tmp_path, make, code, words):
    files = Files(good.model, make(tmp_path), good.evaluation)
    check_refused(search(files, tmp_path / "out"), tmp_path / "out", code, *words)


@pytest.mark.parametrize(("make", "code", "words"), [*DATA, *LABELLED])
def test_confirmation_data_that_cannot_be_used_is_refused(good, tmp_path, make, code, words):
    ended = search(good, tmp_path / "out", "--confirmation", make(tmp_path))
    check_refused(ended, tmp_path / "out", code, *words)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--metric", "top2"], ["top2", "top1"]),
        (["--metric", "mae"], ["mae", "limit"]),
        (["--metric", "mae", "--max-drop", "0.1"], ["max_drop", "mae"]),
        (["--metric", "top1", "--max-increase", "0.1"], ["max_increase", "top1"]),
        (["--metric", "top1@logit", "--max-drop", "0.1"], ["logit", "logits"]),
        (["--max-drop", "0.1", "--min-value", "0.5"], ["--max-drop", "--min-value"]),
        (["--goal", "top1@logits,max-drop=0.01,max-drop=0.02"], ["max-drop"]),
        (["--goal", "top1@logits,labels=label,max-drop=0.01"], ["label", "'labels'"]),
        (["--evaluator", "integers"], ["integer", "fake_quant"]),
        (["--strategy", "best"], ["best", "ladder"]),
        (["--target", "j9x"], ["j9x"]),
        (["--toolchain", "three"], ["three"]),
        (["--threads", "0"], ["threads"]),
        (["--confidence", "2"], ["confidence"]),
        (["--max-evaluations", "0"], ["max_evaluations"]),
        (["--max-drops", "0.1"], ["--max-drops"]),
        (["--spec", "/no/such/spec.yaml"], ["spec.yaml"]),
        (["--reuse", "/no/such/run"], ["/no/such/run"]),
        (["--overrides", "/no/such/overrides.json"], ["overrides.json"]),
    ],
)
def test_an_option_that_means_nothing_is_a_usage_error(good, tmp_path, options, words):
    ended = search(good, tmp_path / "out", *options, goal=())
    check_refused(ended, tmp_path / "out", USAGE, *words)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("gaol: []", ["gaol", "goal"]),
        ("pins: [{match: conv9, exactly: a16w8}]", ["conv9"]),
        ("pins: [{match: conv1, exactly: fp32}]", ["conv1", "fp32"]),
        ("expected_float: {top5@logits: 0.5}", ["expected_float", "top5@logits", "top1@logits"]),
        ("inputs: {image: {range: [0, 1]}}", ["inputs", "image", "'x'"]),
        ("outputs: {logit: {precision: int8}}", ["outputs", "logit", "logits"]),
        ("calibration: {overrides: {c9: {range: [0, 1]}}}", ["calibration.overrides", "c9"]),
        ("search: {max_evalutions: 3}", ["max_evalutions", "max_evaluations"]),
        ("[1, 2]", ["mapping"]),
        ("a: b: c", ["spec.yaml"]),
    ],
)
def test_a_spec_that_does_not_fit_is_a_usage_error(good, tmp_path, text, words):
    spec = tmp_path / "spec.yaml"
    spec.write_text(text if text.startswith("[") or text == "a: b: c" else f"schema: bitbudget.job/1\n{text}\n")
    ended = search(good, tmp_path / "out", "--spec", spec)
    check_refused(ended, tmp_path / "out", USAGE, *words)


def test_without_goal_two_outputs_or_no_labels_list_the_outputs(good, two, tmp_path):
    np.savez(tmp_path / "plain.npz", x=pictures(20, seed=2))
    ended = search(Files(good.model, good.calibration, tmp_path / "plain.npz"), tmp_path / "out", goal=())
    check_refused(ended, tmp_path / "out", USAGE, "labels", "logits [?, 10]")
    ended = search(two, tmp_path / "out", goal=("--metric", "top1", "--max-drop", "0.01"))
    check_refused(ended, tmp_path / "out", USAGE, "logits [?, 10]", "xy [?, 2]")
    ended = search(two, tmp_path / "out", goal=("--metric", "mae", "--max-value", "1"))
    check_refused(ended, tmp_path / "out", USAGE, "logits [?, 10]", "xy [?, 2]")


def test_what_is_missing_altogether_is_named(good, tmp_path):
    assert "--out" in bitbudget("search", *good.arguments, "--target", "j6m").err
    ended = bitbudget(
        "search", good.model, "--calibration", good.calibration, "--target", "j6m", "--out", tmp_path / "o"
    )
    check_refused(ended, tmp_path / "o", USAGE, "evaluation")
    ended = bitbudget("search", *good.arguments, "--out", tmp_path / "o")
    check_refused(ended, tmp_path / "o", USAGE, "target")
    ended = bitbudget("search", "--target", "j6m", "--out", tmp_path / "o")
    check_refused(ended, tmp_path / "o", USAGE, "model")


def test_an_output_that_cannot_be_a_directory_is_a_usage_error(good, tmp_path):
    (tmp_path / "file").write_text("mine")
    for out in (tmp_path / "file", tmp_path / "file" / "below"):
        ended = search(good, out)
        assert (ended.code, ended.out) == (USAGE, "")
        assert "file" in ended.err
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_an_output_without_permission_is_a_usage_error(good, tmp_path):
    (tmp_path / "closed").mkdir(mode=0o555)
    ended = search(good, tmp_path / "closed" / "out")
    check_refused(ended, tmp_path / "closed" / "out", USAGE, "closed")


def test_a_float_value_other_than_expected_is_an_error_and_leaves_nothing(good, tmp_path):
    spec = tmp_path / "spec.yaml"
    spec.write_text("schema: bitbudget.job/1\nexpected_float: {top1@logits: 0.5}\n")
    ended = search(good, tmp_path / "out", "--spec", spec)
    check_refused(ended, tmp_path / "out", CONTENT, "top1@logits", "0.5")


def test_force_with_bad_input_leaves_the_earlier_run_alone(good, tmp_path):
    assert search(good, tmp_path / "out").code == 0
    before = tree(tmp_path / "out")
    bad = Files(good.model, good.calibration, nan_values(tmp_path))
    assert search(bad, tmp_path / "out", "--force").code == CONTENT
    assert search(good, tmp_path / "out", "--force", "--metric", "top2").code == USAGE
    assert tree(tmp_path / "out") == before
