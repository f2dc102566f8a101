"""``precision_map.json``: nodes, edges with their casts, shares, trials."""

from __future__ import annotations

import json

import pytest

from search.precision import Precision
from search.study.plan import Replay
from search.targets.placement import place
from tests.study.memory import MemoryRun, local_problem
from tests.study.small import two_output_net, write

GOALS = [
    {"metric": "top1", "output": "logits", "max_drop": 0.02},
    {"metric": "mae", "output": "xy", "labels": "labels_xy", "max_increase": 0.05},
]


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    files = write(tmp_path_factory.mktemp("map"), two_output_net(), n=120)
    run = MemoryRun(local_problem(files, goal=GOALS))
    finished = run.run()
    return run, finished, run.files(finished)


@pytest.fixture(scope="module")
def drawn(study):
    return json.loads(study[2]["precision_map.json"], parse_constant=pytest.fail)


def test_nodes_are_inputs_groups_and_outputs(study, drawn):
    network = study[1].described.network
    kinds = [node["kind"] for node in drawn["nodes"]]
    assert kinds == ["input"] + ["group"] * len(network.groups) + ["output"] * 2
    groups = [node for node in drawn["nodes"] if node["kind"] == "group"]
    assert [node["name"] for node in groups] == [group.name for group in network.groups]
    assert [node["id"] for node in groups] == [f"g{g}" for g in range(len(groups))]
    assert {node["name"] for node in drawn["nodes"] if node["kind"] == "output"} == {"logits", "xy"}


def test_precisions_are_those_of_the_result(study, drawn):
    result = json.loads(study[2]["result.json"])
    for node in drawn["nodes"]:
        if node["kind"] == "group":
            assert node["precision"] == result["assignment"][node["name"]]["precision"]
            assert node["requested"] == result["assignment"][node["name"]]["requested"]


def test_edges_and_casts_are_those_of_the_placement(study, drawn):
    run, finished, _ = study
    network = finished.described.network
    effective = finished.chosen.configuration.effective
    placement = place(network, run.problem.target, effective)
    names = {tensor.name: t for t, tensor in enumerate(network.tensors)}
    first = 1
    expected = {
        (first + network.tensors[slot.tensor].writer if network.tensors[slot.tensor].writer is not None else 0)
        for group in network.groups
        for slot in group.inputs
    }
    assert {edge["from"] for edge in drawn["edges"] if drawn["nodes"][edge["to"]]["kind"] == "group"} == expected
    for edge in drawn["edges"]:
        tensor = names[edge["tensor"]]
        assert edge["stored"] == placement.stored[tensor].value
        target = drawn["nodes"][edge["to"]]
        if target["kind"] == "group":
            g = int(target["id"][1:])
            reads = {
                placement.read[g][s].value for s, slot in enumerate(network.groups[g].inputs) if slot.tensor == tensor
            }
            assert edge["read"] in reads
        else:
            assert target["name"] in network.tensors[tensor].model_outputs
    casts = {(cast.tensor, cast.group, cast.stored, cast.read) for cast in placement.casts(network)}
    assert drawn["n_casts"] == len(casts)


def test_shares_add_up(study, drawn):
    groups = [node for node in drawn["nodes"] if node["kind"] == "group"]
    assert sum(node["macs_share"] for node in groups) == pytest.approx(1, abs=1e-4)
    assert 0 < sum(node["cost_share"] for node in groups) <= 1 + 1e-4
    assert 0 <= drawn["cast_share"] <= 1


def test_trials_hold_one_digit_per_group(study, drawn):
    _, finished, _ = study
    assert drawn["precisions"] == [precision.value for precision in Precision]
    assert [trial["trial"] for trial in drawn["trials"]] == [trial.number for trial in finished.session.trials]
    for told, trial in zip(drawn["trials"], finished.session.trials, strict=True):
        decoded = [drawn["precisions"][int(digit)] for digit in told["precisions"]]
        assert decoded == trial.configuration.effective.to_json()
    chosen = next(trial for trial in drawn["trials"] if trial["trial"] == drawn["chosen"])
    groups = [node["precision"] for node in drawn["nodes"] if node["kind"] == "group"]
    assert [drawn["precisions"][int(digit)] for digit in chosen["precisions"]] == groups


def test_edges_go_down_and_every_place_is_inside(drawn):
    nodes = drawn["nodes"]
    for edge in drawn["edges"]:
        assert nodes[edge["from"]]["row"] < nodes[edge["to"]]["row"]
    assert all(0 <= node["row"] < drawn["rows"] for node in nodes)
    assert all(0.5 <= node["x"] <= drawn["width"] - 0.499 for node in nodes)


def test_equal_studies_give_equal_bytes(study):
    run, _, files = study
    again = Replay(run.problem)
    assert again.advance(run.results) == ()
    assert run.files(again.finished)["precision_map.json"] == files["precision_map.json"]
