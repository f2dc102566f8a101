"""``bitbudget.search`` is ``bitbudget search``: the same job, the same answer, the same folder."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import bitbudget
from tests.service.command import result_of, search, tree
from tests.study.memory import without_times
from tests.study.small import Files, write

GOAL = "top1,max-drop=0.01"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return write(tmp_path_factory.mktemp("study"), n=120)


@pytest.fixture(scope="module")
def by_command(files: Files, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("command") / "out"
    assert search(files, out, target="j6m", goal=("--goal", GOAL)).code == 0
    return out


@pytest.fixture(scope="module")
def by_call(files: Files, tmp_path_factory: pytest.TempPathFactory) -> bitbudget.Result:
    return bitbudget.search(
        files.model,
        calibration=files.calibration,
        evaluation=files.evaluation,
        goal=GOAL,
        target="j6m",
        out=tmp_path_factory.mktemp("call") / "out",
        progress=False,
    )


def test_the_answer_is_that_of_the_command_line(by_call: bitbudget.Result, by_command: Path) -> None:
    assert without_times(result_of(by_call.folder)) == without_times(result_of(by_command))
    assert by_call.outcome == "met"


@pytest.mark.parametrize("form", ["Job", "mapping", "file", "Goal"])
def test_a_job_is_the_same_job_in_every_form(
    files: Files, by_call: bitbudget.Result, form: str, tmp_path: Path
) -> None:
    data = {"calibration": str(files.calibration), "evaluation": str(files.evaluation)}
    goal = {"metric": "top1", "max_drop": 0.01}
    job = {"model": str(files.model), "data": data, "target": {"name": "j6m"}, "goal": [goal]}
    if form == "Job":
        again = bitbudget.search(job=bitbudget.Job.model_validate(job), out=by_call.folder, progress=False)
    elif form == "file":
        path = tmp_path / "job.json"
        path.write_text(json.dumps({"schema": "bitbudget.job/1", **job}))
        again = bitbudget.search(job=path, out=by_call.folder, progress=False)
    elif form == "Goal":
        given = bitbudget.Goal(metric="top1", max_drop=0.01)
        again = bitbudget.search(job={**job, "goal": []}, goal=given, out=by_call.folder, progress=False)
    else:
        again = bitbudget.search(job=job, out=by_call.folder, progress=False)
    assert again.record == by_call.record  # seconds included: nothing was computed again


def test_arrays_in_memory_give_the_same_assignment(files: Files, by_call: bitbudget.Result, tmp_path: Path) -> None:
    with np.load(files.calibration) as calibration, np.load(files.evaluation) as evaluation:
        sets = {"calibration": dict(calibration), "evaluation": dict(evaluation)}
    for _ in range(2):  # the second call goes on with the first one's folder
        found = bitbudget.search(files.model, **sets, goal=GOAL, target="j6m", out=tmp_path / "out", progress=False)
    assert list(found.assignment) == list(by_call.assignment)
    assert [row["cost"] for row in found.trials] == [row["cost"] for row in by_call.trials]


def test_tables_are_rows(by_call: bitbudget.Result) -> None:
    document = result_of(by_call.folder)
    assert len(by_call.assignment) == len(document["assignment"])
    assert by_call.assignment[0]["node"] == next(iter(document["assignment"]))
    assert [row["trial"] for row in by_call.trials] == [trial["no"] for trial in document["trials"]]
    assert by_call.chosen is not None
    assert by_call.chosen.no == document["chosen_trial"]
    assert by_call.front[-1].keys() == {"trial", "cost", "top1@logits"}
    assert by_call.sensitivity
    assert isinstance(by_call.sensitivity[0]["value"], float)
    assert all(path.is_file() for path in by_call.artifacts.values())


def test_an_earlier_result_is_read_from_its_folder_or_file(by_call: bitbudget.Result, tmp_path: Path) -> None:
    assert bitbudget.load_result(by_call.folder) == by_call
    assert bitbudget.load_result(by_call.folder / "result.json") == by_call
    with pytest.raises(bitbudget.UsageError, match="cannot be read"):
        bitbudget.load_result(tmp_path)
    (tmp_path / "result.json").write_text("[]")
    with pytest.raises(bitbudget.UsageError, match="is no result of a search"):
        bitbudget.load_result(tmp_path)


def test_a_notebook_shows_it_and_a_terminal_prints_it(
    by_call: bitbudget.Result, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = by_call._repr_html_()
    assert "top1@logits" in shown
    assert shown.count("<rect") == sum(row["role"] in ("compute", "float") for row in by_call.assignment)
    by_call.show()
    assert "top1@logits" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"target": "j9"}, "Unknown target 'j9'"),
        ({"stategy": "auto"}, "does not know these arguments: .*stategy"),
        ({"goal": "top9,max-drop=1"}, "metric 'top9' is unknown"),
        ({"model": "none.onnx"}, "'none.onnx' does not exist"),
        ({"evaluation": None}, "'evaluation' is missing"),
        ({"evaluation": np.zeros(3)}, "Data is a path, Samples or a mapping from name to array, not ndarray"),
        ({"goal": 3}, "A goal is a Goal or a text .* not int"),
        ({"goal": ["top1,max-drop=0.01", None]}, "A goal is a Goal or a text .* not NoneType"),
        ({"job": 5}, "A job is a Job, a mapping or the path of a job file, not int"),
        ({"job": "none.yaml"}, "The job 'none.yaml' cannot be read"),
        ({"processes": 0}, "processes must be at least 1, got 0"),
    ],
)
def test_a_wrong_request_is_said_before_anything_is_written(
    files: Files, tmp_path: Path, more: dict[str, object], said: str
) -> None:
    given = {"model": files.model, "calibration": files.calibration, "evaluation": files.evaluation, "goal": GOAL}
    with pytest.raises(bitbudget.UsageError, match=said):
        bitbudget.search(**{**given, "target": "j6m", **more}, out=tmp_path / "out", progress=False)
    assert not (tmp_path / "out").exists()


INTERRUPTED = """
import sys, bitbudget
model, calibration, evaluation, out = sys.argv[1:]
data = {"calibration": calibration, "evaluation": evaluation}
found = bitbudget.search(model, **data, goal="top1,max-drop=0.01", target="j6m", out=out)
print(found.stopped, found.artifacts["report"].is_file())
"""


def test_ctrl_c_gives_the_best_so_far(files: Files, tmp_path: Path) -> None:
    given = [str(files.model), str(files.calibration), str(files.evaluation), str(tmp_path / "out")]
    process = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED, *given], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    for line in process.stderr:
        if "trial" in line:
            process.send_signal(signal.SIGINT)
            break
    out, _ = process.communicate(timeout=120)
    assert out == "interrupt True\n"


def test_a_search_outside_the_main_thread_runs(files: Files, by_call: bitbudget.Result) -> None:
    code = (
        "import sys, threading, bitbudget\n"
        "def run(): print(bitbudget.search(sys.argv[1], calibration=sys.argv[2], evaluation=sys.argv[3], "
        "goal='top1,max-drop=0.01', target='j6m', out=sys.argv[4], progress=False).outcome)\n"
        "one = threading.Thread(target=run); one.start(); one.join()"
    )
    given = [str(files.model), str(files.calibration), str(files.evaluation), str(by_call.folder)]
    before = tree(by_call.folder)
    done = subprocess.run([sys.executable, "-c", code, *given], capture_output=True, text=True, check=True)
    assert done.stdout == "met\n"
    assert tree(by_call.folder) == before


def test_check_and_targets_need_no_data(files: Files) -> None:
    found = bitbudget.check(files.model, target="j6m")
    assert found.outputs == ("logits",)
    assert {"name", "op_type", "precisions"} <= found.groups[0].keys()
    assert bitbudget.targets().keys() >= {"j6m", "j6p", "ort-cpu"}
    with pytest.raises(bitbudget.UsageError, match="does not exist"):
        bitbudget.check("none.onnx")
