"""A metric in Python: the answer of the built-in one, run only where it is trusted; errors name the sample."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

import bitbudget
from tests.service.command import Ended, result_of
from tests.service.command import bitbudget as command
from tests.study.small import Files, write

TOP1 = """
import numpy as np

def right(outputs, labels):
    return outputs.argmax(axis=1) == labels
"""
GOAL = "python:{}:right@logits,labels=labels,max-drop=0.01"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return write(tmp_path_factory.mktemp("study"), n=120)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    return tmp_path


def run(files: Files, goal: str, *options: str) -> Ended:
    return command("search", *files.arguments, "--target", "j6m", "--goal", goal, "--out", "out", *options)


def test_it_gives_the_answer_of_the_built_in_metric(files: Files, place: Path) -> None:
    (place / "metric_a.py").write_text(TOP1)
    assert run(files, GOAL.format("metric_a"), "--trust-python").code == 0
    built_in = bitbudget.search(
        files.model,
        calibration=files.calibration,
        evaluation=files.evaluation,
        goal="top1,max-drop=0.01",
        target="j6m",
        out=place / "built_in",
        progress=False,
    )
    own = bitbudget.load_result(place / "out")
    assert own.metrics[0].id == "python:metric_a:right@logits"
    for field in ("float_value", "required", "chosen", "qdq"):
        assert getattr(own.metrics[0], field) == pytest.approx(getattr(built_in.metrics[0], field)), field
    assert own.metrics[0].interval is not None
    assert own.cost.chosen is not None
    assert built_in.cost.chosen is not None
    assert own.cost.chosen <= built_in.cost.chosen * 1.05


def test_several_processes_and_the_python_call_run_it_too(files: Files, place: Path) -> None:
    (place / "metric_b.py").write_text(TOP1)
    assert run(files, GOAL.format("metric_b"), "--trust-python", "--jobs", "2").code == 0
    again = bitbudget.search(
        files.model,
        calibration=files.calibration,
        evaluation=files.evaluation,
        goal=GOAL.format("metric_b"),
        target="j6m",
        out=place / "out",
        progress=False,
    )
    assert again.record.to_json() == result_of(place / "out")


def test_without_trust_none_of_it_is_loaded(files: Files, place: Path) -> None:
    (place / "metric_c.py").write_text("raise SystemExit('it ran')")
    ended = run(files, GOAL.format("metric_c"))
    assert ended.code == 2
    assert "runs it on your own machine with --trust-python" in ended.err
    assert not (place / "out").exists()


def test_another_source_is_another_question(files: Files, place: Path) -> None:
    (place / "metric_d.py").write_text(TOP1)
    assert run(files, GOAL.format("metric_d"), "--trust-python").code == 0
    (place / "metric_d.py").write_text(TOP1 + "\nversion = 2\n")
    ended = run(files, GOAL.format("metric_d"), "--trust-python")
    assert ended.code == 2
    assert "metric" in ended.err


@pytest.mark.parametrize(
    ("name", "body", "code", "said"),
    [
        ("raises", "raise KeyError('boxes')", 4, r"raised KeyError: 'boxes' (evaluation sample "),
        (
            "one",
            "if (labels == 3).any(): raise ValueError('three')\n    return labels * 1.0",
            4,
            "raised ValueError: three",
        ),
        ("nan", "return np.where(labels == 3, np.nan, 1.0)", 4, "gave nan, not a finite number (evaluation sample "),
        ("few", "return np.ones(len(labels) - 1)", 4, "it must give one real number per sample"),
        ("text", "return ['a'] * len(labels)", 4, "it must give one real number per sample"),
        ("none", "return None", 4, "it must give one real number per sample"),
    ],
)
def test_a_metric_that_fails_is_named_with_the_sample_and_nothing_is_lost(
    files: Files, place: Path, name: str, body: str, code: int, said: str
) -> None:
    (place / f"metric_{name}.py").write_text(f"import numpy as np\n\ndef right(outputs, labels):\n    {body}\n")
    ended = run(files, GOAL.format(f"metric_{name}"), "--trust-python")
    assert ended.code == code, ended.err
    assert f"Metric 'python:metric_{name}:right'" in ended.err
    assert said in ended.err
    assert (place / "out/.bitbudget/results.jsonl").is_file()


def test_the_sample_that_is_named_is_the_one_that_fails(files: Files, place: Path) -> None:
    with np.load(files.evaluation) as evaluation:
        threes = set(np.flatnonzero(evaluation["labels"] == 3).tolist())
    body = "if (labels == 3).any(): raise ValueError('three')\n    return labels * 1.0"
    (place / "metric_e.py").write_text(f"def right(outputs, labels):\n    {body}\n")
    ended = run(files, GOAL.format("metric_e"), "--trust-python")
    named = int(ended.err.rsplit("evaluation sample ", 1)[1].split(")")[0])
    assert named in threes


@pytest.mark.parametrize(
    ("metric", "said"),
    [
        ("python:no_such_module:f", "there is no module 'no_such_module' with a source file"),
        ("python:sys:exit", "there is no module 'sys' with a source file"),
        ("python:metric_f:missing", "has no function 'missing'"),
        ("python:metric_g:f", "cannot be loaded: ValueError: at import"),
    ],
)
def test_a_metric_that_cannot_be_had_is_a_wrong_request(files: Files, place: Path, metric: str, said: str) -> None:
    (place / "metric_f.py").write_text("x = 1\n")
    (place / "metric_g.py").write_text("raise ValueError('at import')\n")
    ended = run(files, f"{metric}@logits,min-value=0.5", "--trust-python")
    assert ended.code == 2, ended.err
    assert said in ended.err
