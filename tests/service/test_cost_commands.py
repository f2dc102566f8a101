"""``measure-cost`` on a real small model, ``calibrate-cost`` on files of every kind."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from search.targets.cost import CostModel
from search.targets.fitting.measurement_files import measurements_json
from search.targets.fitting.mixes import mixes
from search.targets.legalise import Legaliser, uniform
from search.targets.rulebook import Rulebook
from search.targets.target import load_target
from service.local.inspection import inspect_model
from service.local.measurements import read_all
from tests.builders import conv, model, node, save
from tests.service.command import bitbudget, search
from tests.study.small import write
from tests.targets.fitting.chips import J6M, TRUTH, changed, network, times
from tests.targets.fitting.test_reports import PROFILER, hbm_perf

CHIP = ("j6m", "--toolchain", "3.0.17")
"""The rules of the chip of equations."""


@pytest.fixture
def measured(tmp_path: Path) -> Path:
    """Times of two networks on a chip of equations."""
    data = times(changed(J6M, TRUTH), [network(0), network(1)], n=18, noise=0.02)
    path = tmp_path / "measured.json"
    path.write_text(measurements_json(data, target="j6m", measured_on="a board", noise_floor=0.02))
    return path


def test_measuring_a_model_gives_a_file_that_can_be_fitted(tmp_path):
    rng = np.random.default_rng(0)
    weights = {f"w{i}": rng.normal(size=(8, 8, 3, 3)) * 0.1 for i in range(3)}
    nodes = [conv(f"conv{i}", f"t{i}", f"c{i}", weight=f"w{i}", pads=[1] * 4) for i in range(3)]
    nodes += [node("Sigmoid", f"c{i}", f"t{i + 1}", f"sigmoid{i}") for i in range(3)]
    nodes.sort(key=lambda one: (one.name[-1], one.op_type))
    path = save(model(nodes, ["t0:float32[N,8,24,24]"], ["t3"], weights), tmp_path)
    out, fitted = tmp_path / "m.json", tmp_path / "here.toml"
    options = ("--assignments", "13", "--repeats", "4", "--min-ms", "0.01")
    ended = bitbudget("measure-cost", path, "--out", out, *options)
    assert ended.code == 0, ended.err
    assert "model: 13 assignments, batch 1" in ended.err
    assert "noise floor" in ended.err
    document = json.loads(out.read_text())
    assert document["schema"] == "bitbudget.measurements/1"
    assert len({row["digest"] for row in document["measured"]}) == 13
    ended = bitbudget("calibrate-cost", "ort-cpu", "--measurements", out, "--out", fitted)
    assert ended.code == 0, ended.err
    target = load_target(str(fitted), toolchain=None)
    assert target.cost.fit is not None
    assert target.cost.fit.measurements == 13
    assert "ONNX Runtime" in target.cost.fit.measured_on


def test_only_this_machine_is_measured(tmp_path):
    ended = bitbudget("measure-cost", tmp_path / "none.onnx", "--target", "j6m", "--out", tmp_path / "m.json")
    assert ended.code == 2
    assert "does not run on this machine" in ended.err
    ended = bitbudget("measure-cost", tmp_path / "none.onnx", "--out", tmp_path / "m.json")
    assert (ended.code, "does not exist" in ended.err) == (2, True)


def test_a_fit_is_printed_with_its_error_and_written(measured, tmp_path):
    out = tmp_path / "board.toml"
    ended = bitbudget("calibrate-cost", *CHIP, "--measurements", measured, "--out", out, "--name", "board-7")
    assert ended.code == 0, ended.err
    for told in (
        "36 different assignments of 2 models",
        "a board",
        "MAPE",
        "95 % interval",
        "Kendall tau",
        "nine in ten",
    ):
        assert told in ended.out, told
    for told in ("whole models left out", "noise floor of the measurements: 2.0%", "rests on assumed ones", str(out)):
        assert told in ended.out, told
    target = load_target(str(out), toolchain=None)
    assert (target.name, target.march) == ("board-7", "nash-m")
    assert CostModel(network(0), target).unit == "us"
    again = bitbudget("calibrate-cost", *CHIP, "--measurements", measured, "--out", out)
    assert (again.code, "--force" in again.err) == (2, True)
    assert bitbudget("calibrate-cost", *CHIP, "--measurements", measured, "--out", out, "--force").code == 0


def test_the_same_as_json_and_nothing_written(measured):
    ended = bitbudget("calibrate-cost", *CHIP, "--measurements", measured, "--json")
    document = json.loads(ended.out)
    assert (document["measurements"], document["models"], document["out"]) == (36, 2, None)
    assert 0 < document["mape"] < 0.1
    assert document["kendall_tau"] > 0.8
    assert 0 <= document["assumed_share"] <= 1


def test_too_little_data_is_refused_saying_what_is_missing(tmp_path):
    data = times(J6M, [network(0)], n=2)
    path = tmp_path / "few.json"
    path.write_text(measurements_json(data, target="j6m", measured_on="", noise_floor=0.0))
    ended = bitbudget("calibrate-cost", *CHIP, "--measurements", path, "--out", tmp_path / "t.toml")
    assert ended.code == 4
    assert "10 more are needed" in ended.err
    assert "have gemms at a16w8" in ended.err
    assert not (tmp_path / "t.toml").exists()


def test_compiler_reports_are_fitted_from_their_own_counts(tmp_path):
    rng = np.random.default_rng(1)
    files: list[str | Path] = []
    for i in range(14):
        wide, loaded = int(3.8e9 * rng.uniform(0, 1)), int(rng.integers(8, 30)) * 10**6
        us = (3.8e9 - wide) / 2e6 + wide / 0.8e6 + loaded / 2e4
        report = hbm_perf(
            **{
                "performance": {"latency (us)": us},
                "DDR access data": {"loaded bytes per run": loaded, "stored bytes per run": 0},
                "model info": {
                    "BPU march": "nash-m",
                    "double int8 macs": int(3.8e9) - wide,
                    "feature int16 weight int8 macs": wide,
                },
            }
        )
        path = tmp_path / f"r{i}.json"
        path.write_text(json.dumps(report))
        files += ["--measurements", path]
    ended = bitbudget("calibrate-cost", *CHIP, *files, "--json")
    assert ended.code == 0, ended.err
    document = json.loads(ended.out)
    assert (document["measurements"], document["models"]) == (14, 1)
    assert document["mape"] < 0.05
    assert document["mape_other_models"] is None
    wrong = bitbudget("calibrate-cost", "j6e", *files)
    assert wrong.code == 4
    assert "is about nash-m, but target 'j6e' is nash-e" in wrong.err


def test_a_profiler_log_alone_does_not_say_what_ran(tmp_path):
    log = tmp_path / "profiler.log"
    log.write_text(PROFILER)
    ended = bitbudget("calibrate-cost", *CHIP, "--measurements", log)
    assert ended.code == 4
    assert "Give the search it comes from with --result" in ended.err


def test_measurements_of_other_rules_are_refused(tmp_path):
    book = Rulebook(network(0), load_target("ort-cpu", toolchain=None))
    ort = load_target("ort-cpu", toolchain=None)
    data = times(ort, [network(0)], n=13)
    assert len(data) == len(mixes(book, 13, seed=0))
    path = tmp_path / "ort.json"
    path.write_text(measurements_json(data, target="ort-cpu", measured_on="", noise_floor=0.0))
    ended = bitbudget("calibrate-cost", *CHIP, "--measurements", path)
    assert ended.code == 4
    assert "which target 'j6m' does not allow" in ended.err


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--measurements", "missing.json"), "cannot be read"),
        (
            ("--measurements", "missing.json", "--out", "nowhere/t.toml"),
            "must be a .toml file in a directory that exists",
        ),
        (("--measurements", "missing.json", "--out", "t.yaml"), "must be a .toml file"),
        (("--measurements", ".", "--result", "nothing"), "cannot be read"),
    ],
)
def test_paths_that_are_wrong_are_exit_2(options, told, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ended = bitbudget("calibrate-cost", *CHIP, *options)
    assert ended.code == 2, ended.err
    assert told in ended.err


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A finished search on j6m and the files it was given."""
    folder = tmp_path_factory.mktemp("run")
    files = write(folder, n=60)
    assert search(files, folder / "out").code == 0
    return files, folder / "out"


def test_reports_and_tables_are_about_what_a_search_chose(run, tmp_path):
    files, out = run
    chosen = {line.split(",")[5] for line in (out / "trials.csv").read_text().splitlines()[1:]}
    inspected = inspect_model(files.model, J6M).network
    legaliser = Legaliser(Rulebook(inspected, J6M))
    uniforms = [legaliser.legalise(uniform(inspected, J6M, level)).effective for level in ("low", "high")]
    assert chosen & {one.digest[:12] for one in uniforms}
    log, table = tmp_path / "profiler.log", tmp_path / "times.csv"
    log.write_text(PROFILER)
    table.write_text(f"assignment,measured_us\n{uniforms[0].digest[:12]},100\n{uniforms[1].digest},180\n")
    taken = read_all(J6M, [log, table], results=[out])
    assert [one.microseconds for one in taken.measured] == pytest.approx([2471.6, 100.0, 180.0])
    assert len({one.model for one in taken.measured}) == 1
    stored = json.loads((out / "result.json").read_text())["assignment"]
    by_group = {entry["group"]: entry["precision"] for entry in stored.values() if entry["group"] is not None}
    assert taken.measured[0].assignment.to_json() == [by_group[f"g{g}"] for g in range(len(by_group))]
    by_model = read_all(J6M, [table], models=[files.model])
    assert [one.assignment for one in by_model.measured] == uniforms
    ended = bitbudget("calibrate-cost", *CHIP, "--measurements", log, "--result", out, "--result", out)
    assert (ended.code, "1 reports and 2 --result directories" in ended.err) == (2, True)


def test_a_search_on_a_fitted_target_gives_microseconds_with_an_error_bar(run, measured, tmp_path):
    files, out = run
    board = tmp_path / "board.toml"
    assert bitbudget("calibrate-cost", *CHIP, "--measurements", measured, "--out", board).code == 0
    ended = search(files, tmp_path / "fitted", "--strategy", "ladder", target=str(board))
    assert ended.code == 0, ended.err
    assert "us, nine in ten within" in ended.out
    result, plain = (json.loads((folder / "result.json").read_text()) for folder in (tmp_path / "fitted", out))
    cost = result["cost"]
    assert (cost["unit"], cost["source"]) == ("us", "measured")
    assert cost["interval"][0] < cost["chosen"] < cost["interval"][1]
    assert cost["all_low"] > 0
    assert cost["all_low"] != 1
    assert 0 <= cost["assumed_share"] <= 1
    assert (plain["cost"]["unit"], plain["cost"]["source"], plain["cost"]["interval"]) == ("index", "assumed", None)
    assert cost["chosen"] in [one["cost"] for one in result["front"]]
    with (tmp_path / "fitted" / "trials.csv").open() as file:
        first = next(csv.DictReader(file))
    assert float(first["cost"]) == pytest.approx(cost["all_high"])
    assert "fitted to measurements" in (tmp_path / "fitted" / "report.html").read_text()
