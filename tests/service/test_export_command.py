"""``bitbudget export``: another trial of a search, with its own re-check and nothing computed twice."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest

import bitbudget as package
from tests.service.command import bitbudget, result_of, search, tree
from tests.study.small import Files, write


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return write(tmp_path_factory.mktemp("files"))


@pytest.fixture(scope="module")
def searched(files: Files, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A search whose all-low misses the goal, so that it is on the front but not chosen."""
    out = tmp_path_factory.mktemp("searched") / "out"
    assert search(files, out).code == 0
    return out


def all_low(out: Path) -> int:
    return next(trial["no"] for trial in result_of(out)["trials"] if trial["role"] == "all_low")


def seen(result: dict[str, Any]) -> list[dict[str, Any]]:
    """Trials without their seconds: what is taken over takes none."""
    return [{**trial, "seconds": 0.0} for trial in result["trials"]]


def test_a_trial_that_was_not_chosen_is_delivered(searched: Path, files: Files) -> None:
    before, number = tree(searched), all_low(searched)
    assert result_of(searched)["chosen_trial"] != number
    ended = bitbudget("export", searched, "--trial", number)
    assert ended.code == 3, ended.err
    place = searched / f"trial-{number}"
    found, known = result_of(place), result_of(searched)
    trial = next(one for one in known["trials"] if one["no"] == number)
    assert (found["chosen_trial"], found["cost"]["chosen"], found["minimal"]) == (number, trial["cost"], None)
    assert seen(found) == seen(known)
    (metric,) = found["metrics"]
    assert metric["chosen"] == trial["seen"][metric["id"]] == metric["qdq"]
    assert "wanted-trial" in {one["code"] for one in found["findings"]}
    with np.load(files.evaluation) as data:
        x, labels = data["x"], data["labels"]
    session = ort.InferenceSession(place / "model.qdq.onnx", providers=["CPUExecutionProvider"])
    output = session.run(None, {"x": x})[0]
    assert float((output.reshape(len(x), -1).argmax(1) == labels).mean()) == pytest.approx(metric["qdq"])
    assert {name: data for name, data in tree(searched).items() if not name.startswith("trial-")} == before


def test_what_was_measured_is_taken_over(searched: Path) -> None:
    lines = (searched / f"trial-{all_low(searched)}/.bitbudget/results.jsonl").read_text().splitlines()
    computed = {line.split('"kind":"')[1].split('"')[0] for line in lines if '"reused":true' not in line}
    assert computed
    assert not computed & {"calibrate", "collect", "float", "sensitivity", "compare"}  # its exported file is evaluated


def test_without_a_number_it_is_what_the_search_chose(searched: Path, tmp_path: Path) -> None:
    result = package.export(searched, out=tmp_path / "again", progress=False)
    known = result_of(searched)
    assert (result.record.chosen_trial, result.outcome.value) == (known["chosen_trial"], known["outcome"])
    assert "wanted-trial" not in {one.code for one in result.record.findings}
    assert (tmp_path / "again/model.qdq.onnx").read_bytes() == (searched / "model.qdq.onnx").read_bytes()


def test_a_search_that_was_stopped_is_not_gone_on_with(files: Files, tmp_path: Path) -> None:
    out = tmp_path / "out"
    search(files, out, "--max-evaluations", "2")
    known = result_of(out)
    assert known["stopped"] == "evaluations"
    number = next(one["no"] for one in known["trials"] if one["verdict"] in ("met", "not_met"))
    ended = bitbudget("export", out, "--trial", number, "--out", tmp_path / "other")
    assert ended.code in (0, 3), ended.err
    found = result_of(tmp_path / "other")
    assert (seen(found), found["chosen_trial"], found["stopped"]) == (seen(known), number, "evaluations")


@pytest.mark.parametrize("number", ["0", "999", "rejected"])
def test_only_what_ran_on_every_sample_can_be_delivered(searched: Path, number: str, tmp_path: Path) -> None:
    partial = [one["no"] for one in result_of(searched)["trials"] if one["n_run"] < one["n_samples"]]
    if number == "rejected" and not partial:
        pytest.skip("every trial of this search ran in full")
    wanted = partial[0] if number == "rejected" else number
    ended = bitbudget("export", searched, "--trial", wanted, "--out", tmp_path / "no")
    assert ended.code == 2
    assert f"Trial {wanted} is none that ran on every sample. Complete trials: " in ended.err
    assert not (tmp_path / "no").exists()


def test_a_folder_without_a_search_is_refused(tmp_path: Path) -> None:
    ended = bitbudget("export", tmp_path, "--trial", "1")
    assert (ended.code, "Name the folder of a search" in ended.err) == (2, True)


def test_another_model_under_the_same_name_is_refused(searched: Path, tmp_path: Path) -> None:
    files = write(tmp_path / "files")
    out = tmp_path / "out"
    assert search(files, out).code == 0
    other = np.load(files.calibration)["x"] + 1.0
    np.savez(files.calibration, x=other)
    ended = bitbudget("export", out, "--trial", all_low(out), "--out", tmp_path / "no")
    assert (ended.code, "data.calibration" in ended.err) == (2, True)
    assert not (tmp_path / "no").exists()


def test_a_run_of_an_earlier_version_says_what_to_do(searched: Path, tmp_path: Path) -> None:
    out = tmp_path / "old"
    shutil.copytree(searched, out)
    (out / ".bitbudget/job.json").unlink()
    ended = bitbudget("export", out, "--trial", all_low(out))
    assert (ended.code, "Run the same search again" in ended.err) == (2, True)
