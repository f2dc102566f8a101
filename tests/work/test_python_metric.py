"""A metric in Python: records, several outputs, whole loops; run only where it is trusted; errors name the sample."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

import bitbudget
from tests.service.command import Ended, result_of
from tests.service.command import bitbudget as command
from tests.study.small import Files, two_output_net, write

TOP1 = """
import numpy as np

def right(outputs, labels):
    return outputs["logits"].argmax(axis=1) == labels["labels"]
"""
F1 = """
import numpy as np
import bitbudget

def macro_f1(records):
    said, meant = np.array(records).T
    scores = []
    for c in sorted({*said, *meant}):
        hit = np.sum((said == c) & (meant == c))
        scores.append(2 * hit / (np.sum(said == c) + np.sum(meant == c)))
    return float(np.mean(scores))

@bitbudget.metric(value=macro_f1, direction="higher", version="1")
def f1(outputs, labels):
    return np.stack([outputs["logits"].argmax(axis=1), labels["labels"]], axis=1)
"""
GOAL = "python:{}:right,max-drop=0.01"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return write(tmp_path_factory.mktemp("study"), n=120)


@pytest.fixture(scope="module")
def two_outputs(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return write(tmp_path_factory.mktemp("two"), two_output_net(), n=160)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    return tmp_path


def run(files: Files, goal: str, *options: str) -> Ended:
    return command("search", *files.arguments, "--target", "j6m", "--goal", goal, "--out", "out", *options)


def call(files: Files, out: Path, **arguments) -> bitbudget.Result:
    data = {"calibration": files.calibration, "evaluation": files.evaluation, **arguments}
    return bitbudget.search(files.model, target="j6m", out=out, progress=False, **data)


def test_it_gives_the_answer_of_the_built_in_metric(files: Files, place: Path) -> None:
    (place / "metric_a.py").write_text(TOP1)
    assert run(files, GOAL.format("metric_a"), "--trust-python").code == 0
    built_in = call(files, place / "built_in", goal="top1,max-drop=0.01")
    own = bitbudget.load_result(place / "out")
    assert own.metrics[0].id == "python:metric_a:right@logits"
    for field in ("float_value", "required", "chosen", "qdq"):
        assert getattr(own.metrics[0], field) == pytest.approx(getattr(built_in.metrics[0], field)), field
    assert own.metrics[0].interval is not None
    assert own.cost.chosen is not None
    assert built_in.cost.chosen is not None
    assert own.cost.chosen <= built_in.cost.chosen * 1.05


def test_records_give_the_answer_of_the_built_in_metric_with_intervals(files: Files, place: Path) -> None:
    (place / "metric_f1.py").write_text(F1)
    assert run(files, "python:metric_f1:f1,max-drop=0.02", "--trust-python").code == 0
    built_in = call(files, place / "built_in", goal="f1,max-drop=0.02").metrics[0]
    own = bitbudget.load_result(place / "out").metrics[0]
    for field in ("float_value", "required", "chosen", "qdq", "qdq_unoptimized"):
        assert getattr(own, field) == pytest.approx(getattr(built_in, field)), field
    assert own.interval_method == "bootstrap"
    assert own.interval == pytest.approx(built_in.interval, abs=0.06)
    assert own.difference.method == "bootstrap_paired"
    assert own.difference.interval == pytest.approx(built_in.difference.interval, abs=0.04)


def test_a_bound_at_a_confidence_is_asked_of_records_too(files: Files, place: Path) -> None:
    (place / "metric_sure.py").write_text(F1)
    ended = run(files, "python:metric_sure:f1,max-drop=0.05", "--trust-python", "--confidence", "0.9")
    assert ended.code == 0, ended.err
    found = bitbudget.load_result(place / "out").metrics[0]
    assert found.float_value + found.difference.interval[0] <= found.chosen


def test_several_outputs_and_label_arrays_come_at_once(two_outputs: Files, place: Path) -> None:
    seen: list[tuple[list[str], list[str]]] = []

    def both(outputs, labels):
        seen.append((sorted(outputs), sorted(labels)))
        right = outputs["logits"].argmax(axis=1) == labels["labels"]
        near = np.abs(outputs["xy"] - labels["labels_xy"]).max(axis=1) < 0.5
        return right & near

    found = call(two_outputs, place / "out", metric=both, max_drop=0.02)
    assert set(map(str, seen)) == {str((["logits", "xy"], ["labels", "labels_xy"]))}
    (goal,) = found.metrics
    assert goal.output == "*"
    assert goal.id.startswith("python:test_python_metric:")
    assert goal.chosen >= goal.required
    assert {row["output"] for row in found.sensitivity} <= {"*"}


def test_a_goal_may_name_the_output_and_the_labels(two_outputs: Files, place: Path) -> None:
    @bitbudget.metric(direction="lower", best=0.0)
    def far(outputs, labels):
        assert list(outputs) == ["xy"]
        assert list(labels) == ["labels_xy"]
        return np.abs(outputs["xy"] - labels["labels_xy"]).mean(axis=1)

    goal = far.goal(max_increase=0.01, output="xy", labels="labels_xy")
    own, built_in = call(two_outputs, place / "out", goal=[goal, "mae@xy,labels=labels_xy,max-increase=0.01"]).metrics
    assert own.chosen == pytest.approx(built_in.chosen)
    assert own.direction == "lower"


def test_labels_that_differ_in_size_come_as_lists(files: Files, place: Path) -> None:
    with np.load(files.evaluation) as evaluation:
        x, labels = evaluation["x"], evaluation["labels"]
    boxes = [np.full((int(label) % 3, 4), label, np.float32) for label in labels]
    batches = [{"x": x[i : i + 50], "labels": labels[i : i + 50], "boxes": boxes[i : i + 50]} for i in (0, 50, 100)]
    samples = bitbudget.Samples.from_iterable(batches)

    def counts(outputs, labels):
        assert isinstance(labels["boxes"], list)
        return [[len(one), int(label)] for one, label in zip(labels["boxes"], labels["labels"], strict=True)]

    own = bitbudget.metric(value=lambda records: float(all(n == label % 3 for n, label in records)))(counts)
    found = call(files, place / "out", evaluation=samples, goal=own.goal(min_value=1.0))
    assert found.metrics[0].chosen == 1.0


def test_a_whole_loop_runs_without_intervals_and_the_result_says_so(files: Files, place: Path) -> None:
    with np.load(files.evaluation) as evaluation:
        x, labels = evaluation["x"], evaluation["labels"]

    def evaluate(run):
        right = [run({"x": x[i : i + 7]})["logits"].argmax(axis=1) for i in range(0, len(x), 7)]
        return float((np.concatenate(right) == labels).mean())

    found = call(files, place / "out", metric=evaluate, max_drop=0.01)
    built_in = call(files, place / "built_in", goal="top1,max-drop=0.01").metrics[0]
    own = found.metrics[0]
    for field in ("float_value", "required", "chosen", "qdq", "qdq_unoptimized"):
        assert getattr(own, field) == pytest.approx(getattr(built_in, field)), field
    assert own.interval is None
    assert "whole-loop" in [finding.code for finding in found.findings]
    assert {trial["n_run"] for trial in found.trials} == {120}


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("raise KeyError('boxes')", "raised KeyError: 'boxes'."),
        ("return float('nan')", "gave nan, not a finite number."),
        ("return 'good'", "gave 'good', not a finite number."),
        ("return run({'y': 1})", "run(inputs) takes x; got y."),
        ("return run(3)", "run(inputs) takes a mapping of x, not int."),
    ],
)
def test_a_loop_that_fails_is_named(files: Files, place: Path, body: str, said: str) -> None:
    name = f"loop_{abs(hash(body))}"
    (place / f"{name}.py").write_text(f"def right(run):\n    {body}\n")
    ended = run(files, GOAL.format(name), "--trust-python")
    assert ended.code == 4, ended.err
    assert f"Metric 'python:{name}:right'" in ended.err
    assert said in ended.err


def test_several_processes_and_the_python_call_run_it_too(files: Files, place: Path) -> None:
    (place / "metric_b.py").write_text(TOP1)
    assert run(files, GOAL.format("metric_b"), "--trust-python", "--jobs", "2").code == 0
    again = call(files, place / "out", goal=GOAL.format("metric_b"))
    assert again.record.to_json() == result_of(place / "out")


def test_what_only_this_program_has_is_refused_for_several_processes(files: Files, place: Path) -> None:
    with pytest.raises(bitbudget.UsageError, match="lives in this program alone, and processes=2 cannot import it"):
        call(files, place / "out", metric=lambda outputs, labels: labels["labels"] * 0.0, min_value=0.0, processes=2)


def test_without_trust_none_of_it_is_loaded(files: Files, place: Path) -> None:
    (place / "metric_c.py").write_text("raise SystemExit('it ran')")
    ended = run(files, GOAL.format("metric_c"))
    assert ended.code == 2
    assert "runs it on your own machine with --trust-python" in ended.err
    assert not (place / "out").exists()


def test_another_source_is_measured_again_and_said_and_nothing_else_is(
    files: Files, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (place / "metric_d.py").write_text(TOP1)
    assert run(files, GOAL.format("metric_d"), "--trust-python").code == 0
    before = result_of(place / "out")
    (place / "metric_d.py").write_text(TOP1.replace("== labels", "!= labels"))
    monkeypatch.delitem(sys.modules, "metric_d")
    ended = run(files, GOAL.format("metric_d"), "--trust-python")
    assert "note: Metric python:metric_d:right is another one than before" in ended.err
    after = result_of(place / "out")
    assert after["metrics"][0]["float"] == pytest.approx(1 - before["metrics"][0]["float"])
    assert "calibrating" not in ended.err
    again = run(files, GOAL.format("metric_d"), "--trust-python")
    assert "note:" not in again.err
    assert result_of(place / "out") == after


@pytest.mark.parametrize(
    ("name", "body", "said"),
    [
        ("raises", "raise KeyError('boxes')", r"raised KeyError: 'boxes' (evaluation sample "),
        (
            "one",
            "if (labels['labels'] == 3).any(): raise ValueError('three')\n    return np.ones(n)",
            "ValueError: three",
        ),
        (
            "nan",
            "return np.where(labels['labels'] == 3, np.nan, 1.0)",
            "gave nan, not a finite number of float32 (eval",
        ),
        ("few", "return np.ones(n - 1)", "must give one real number per sample"),
        ("text", "return ['a'] * n", "must give one real number per sample"),
        ("none", "return None", "must give one real number per sample"),
        ("jagged", "return [[1.0] * (1 + i % 2) for i in range(n)]", "must give one real number per sample"),
        ("key", "return outputs['scores']", "raised KeyError: 'scores'"),
    ],
)
def test_a_metric_that_fails_is_named_with_the_sample_and_nothing_is_lost(
    files: Files, place: Path, name: str, body: str, said: str
) -> None:
    head = "import numpy as np\n\ndef right(outputs, labels):\n    n = len(labels['labels'])\n"
    (place / f"metric_{name}.py").write_text(f"{head}    {body}\n")
    ended = run(files, GOAL.format(f"metric_{name}"), "--trust-python")
    assert ended.code == 4, ended.err
    assert f"Metric 'python:metric_{name}:right'" in ended.err
    assert "(evaluation sample " in ended.err
    assert said in ended.err
    assert (place / "out/.bitbudget/results.jsonl").is_file()


@pytest.mark.parametrize(
    ("name", "record", "value", "said"),
    [
        ("set", "{1, 2}", "1.0", "gave a record that is no JSON (a set)"),
        ("nan", "[1.0, float('nan')]", "1.0", "gave a record that holds NaN or infinity"),
        ("large", "'x' * 100_000", "1.0", "gave a record of 100,002 bytes as JSON; 65,536 are allowed"),
        ("value_nan", "1", "float('nan')", "value() of 120 records gave nan"),
        ("value_raises", "1", "records[0]['a']", "value() of 120 records raised TypeError"),
        ("value_text", "1", "'good'", "value() of 120 records raised ValueError"),
    ],
)
def test_records_and_values_that_cannot_be_used_are_named(
    files: Files, place: Path, name: str, record: str, value: str, said: str
) -> None:
    (place / f"record_{name}.py").write_text(
        "import bitbudget\n\n@bitbudget.metric(value=lambda records: " + value + ")\n"
        f"def right(outputs, labels):\n    return [{record} for _ in labels['labels']]\n"
    )
    ended = run(files, GOAL.format(f"record_{name}"), "--trust-python")
    assert ended.code == 4, ended.err
    assert f"Metric 'python:record_{name}:right'" in ended.err
    assert said in ended.err


def test_the_sample_that_is_named_is_the_one_that_fails(files: Files, place: Path) -> None:
    with np.load(files.evaluation) as evaluation:
        threes = set(np.flatnonzero(evaluation["labels"] == 3).tolist())
    body = "if (labels['labels'] == 3).any(): raise ValueError('three')\n    return labels['labels'] * 1.0"
    (place / "metric_e.py").write_text(f"def right(outputs, labels):\n    {body}\n")
    ended = run(files, GOAL.format("metric_e"), "--trust-python")
    named = int(ended.err.rsplit("evaluation sample ", 1)[1].split(")")[0])
    assert named in threes


@pytest.mark.parametrize(
    ("metric", "said"),
    [
        ("python:no_such_module:f", "there is no module 'no_such_module' with a source file"),
        ("python:sys:exit", "there is no module 'sys' with a source file"),
        ("python:metric_f:missing", "has no 'missing'"),
        ("python:metric_f:x", "is a int; it must be a function or a Metric"),
        ("python:metric_f:three", "takes 3 arguments; it must be per_batch(outputs, labels), or a loop evaluate(run)"),
        ("python:metric_f:low", "min_value does not fit a metric of which lower is better"),
        ("python:metric_g:f", "cannot be loaded: ValueError: at import"),
        ("plugin:nothing", "no installed package brings a metric 'nothing'"),
        ("plugin:", "must read plugin:NAME"),
    ],
)
def test_a_metric_that_cannot_be_had_is_a_wrong_request(files: Files, place: Path, metric: str, said: str) -> None:
    (place / "metric_f.py").write_text(
        "import bitbudget\n\nx = 1\n\ndef three(a, b, c):\n    pass\n\n"
        "@bitbudget.metric(direction='lower')\ndef low(outputs, labels):\n    return labels['labels']\n"
    )
    (place / "metric_g.py").write_text("raise ValueError('at import')\n")
    ended = run(files, f"{metric},min-value=0.5", "--trust-python")
    assert ended.code == 2, ended.err
    assert said in ended.err
    assert not (place / "out").exists()


def test_a_metric_that_is_installed_needs_no_trust(files: Files, place: Path) -> None:
    (place / "their_metrics.py").write_text(TOP1)
    (place / "their-1.dist-info").mkdir()
    (place / "their-1.dist-info/METADATA").write_text("Metadata-Version: 2.1\nName: their\nVersion: 1\n")
    (place / "their-1.dist-info/entry_points.txt").write_text("[bitbudget.metrics]\nright = their_metrics:right\n")
    ended = run(files, "plugin:right,max-drop=0.01")
    assert ended.code == 0, ended.err
    assert result_of(place / "out")["metrics"][0]["id"] == "plugin:right@logits"


def test_a_goal_without_a_limit_is_a_wrong_request() -> None:
    own = bitbudget.metric(lambda outputs, labels: labels["labels"])
    with pytest.raises(bitbudget.UsageError, match=r"goal: .*needs exactly one limit of max_drop"):
        own.goal()
