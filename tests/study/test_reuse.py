"""What one search measured serves another one: another goal, another chip; and only where the result is the same."""

from __future__ import annotations

from collections import Counter, defaultdict

import pytest

from search.work.kinds import float as float_run
from tests.study.memory import MemoryRun, local_problem, without_times
from tests.study.small import two_output_net, write

PASSES = ("collect", "float", "compare", "sensitivity")
"""Kinds whose items run samples before or between trials."""
FIXED = """[fixed_output_scale.GlobalAveragePool.int8]
scale = 0.125
zero_point = 0
certainty = "I"
source = "test"
"""
VARIANTS = {
    "halves": '[arithmetic]\nrounding = "half_even"\n',
    "narrow": "[arithmetic]\nshift_max = 30\nacc_bits = { a8w8 = 24, a16w8 = 32, a8w16 = 32, a16w16 = 48 }\n",
    "fixed": FIXED,
    "low-outputs": "[high_precision_output]\nenabled = false\n",
    "other-weights": '[scales]\nweight = "ort_symmetric"\n',
    "dear": "[cost.bytes_per_s]\nvalue = 1e9\n",
}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return write(tmp_path_factory.mktemp("study"), two_output_net(), n=150)


@pytest.fixture(scope="module")
def chips(tmp_path_factory):
    """Built-in chips and variants of one, by what the job file calls them."""
    folder = tmp_path_factory.mktemp("chips")
    found = {name: {"name": name} for name in ("j6m", "j6e", "j6p", "j6h", "ort-cpu", "tx5105c")}
    found["j6m 3.8.0"] = {"name": "j6m", "toolchain": "3.8.0"}
    for name, text in VARIANTS.items():
        (folder / f"{name}.toml").write_text(f'extends = "j6m"\nname = "{name}"\n{text}')
        found[name] = {"name": str(folder / f"{name}.toml")}
    return found


def problem(files, chip, *, drop=0.01, metric="top1", strategy="auto", **spec):
    goal = [{"metric": metric, "output": "logits", "max_drop": drop}]
    return local_problem(files, chip=chip, goal=goal, search={"strategy": strategy}, **spec)


class Searched:
    """A search and what of it was computed anew."""

    def __init__(self, local, other=None):
        self.run = MemoryRun(local)
        if other is not None:
            self.run.results.update(other.run.results)
            self.run.blobs.update(other.run.blobs)
        self.document = without_times(self.run.document(self.run.run()))
        self.kinds = Counter(item.kind.name for item in self.run.order)


@pytest.fixture(scope="module")
def fresh(files, chips):
    """Every chip searched from nothing."""
    return {name: Searched(problem(files, chip)) for name, chip in chips.items()}


def test_equal_identities_mean_equal_results(fresh):
    """Whatever two chips call by one digest gave the same numbers and the same bytes."""
    found = defaultdict(list)
    for searched in fresh.values():
        for digest, result in searched.run.results.items():
            found[digest].append((result.data, result.blobs))
    shared = [results for results in found.values() if len(results) > 1]
    assert len(shared) > 50
    for first, *others in shared:
        assert all(other == first for other in others)


def test_chips_that_compute_otherwise_share_no_evaluation_of_their_own(fresh):
    """Only what the difference cannot touch: nothing in integers where the arithmetic differs."""
    for name in ("halves", "narrow"):
        one, other = evaluations(fresh["j6m"], "integer"), evaluations(fresh[name], "integer")
        assert one
        assert other
        assert not one & other
    for name in ("fixed", "other-weights"):
        for evaluator in ("integer", "fake_quant"):
            assert not evaluations(fresh["j6m"], evaluator) & evaluations(fresh[name], evaluator)


def evaluations(searched, evaluator):
    return {
        item.digest for item in searched.run.order if item.kind.name == "evaluate" and item.work.evaluator == evaluator
    }


@pytest.mark.parametrize("strategy", ["auto", "ladder"])
@pytest.mark.parametrize("other", ["j6e", "j6m 3.8.0", "dear"])
def test_another_chip_with_the_same_numerics_repeats_no_pass(files, chips, strategy, other):
    first = Searched(problem(files, chips["j6m"], strategy=strategy))
    again = Searched(problem(files, chips[other], strategy=strategy), first)
    assert not [again.kinds[kind] for kind in PASSES if again.kinds[kind]]
    assert again.document == Searched(problem(files, chips[other], strategy=strategy)).document


@pytest.mark.parametrize(("one", "other"), [("j6p", "j6h"), ("j6h", "j6p")])
def test_the_larger_chips_share_everything_they_measure(files, chips, fresh, one, other):
    again = Searched(problem(files, chips[other]), fresh[one])
    assert not again.kinds.keys() & {*PASSES, "evaluate"}
    assert again.document["assignment"] == fresh[other].document["assignment"]


def test_chips_that_join_the_same_operators_share_the_check_the_histograms_and_the_float_model(files, chips, fresh):
    """Chips that search the number of calibration samples take them in another order."""
    again = Searched(problem(files, chips["j6p"]), fresh["j6m"])
    assert not again.kinds.keys() & {"check", "collect", "float", "baseline"}
    assert again.document == fresh["j6p"].document
    again = Searched(problem(files, chips["tx5105c"]), fresh["j6m"])
    assert not again.kinds.keys() & {"check", "float", "baseline"}


@pytest.mark.parametrize(("one", "other"), [("j6m", "ort-cpu"), ("ort-cpu", "j6p")])
def test_a_runtime_that_joins_other_operators_has_other_tensors_and_takes_over_nothing(files, chips, fresh, one, other):
    again = Searched(problem(files, chips[other]), fresh[one])
    assert again.kinds["check"] == 1
    assert again.document == fresh[other].document


def test_ranges_are_shared_where_the_scale_rule_is(fresh, files, chips):
    assert Searched(problem(files, chips["j6p"]), fresh["j6m"]).kinds["calibrate"] == 0
    assert Searched(problem(files, chips["ort-cpu"]), fresh["j6m"]).kinds["calibrate"] >= 1


@pytest.mark.parametrize("strategy", ["auto", "ladder", "optuna"])
@pytest.mark.parametrize("drop", [0.002, 0.012, 0.05])
def test_another_limit_repeats_no_pass(files, chips, strategy, drop):
    first = Searched(problem(files, chips["j6m"], strategy=strategy))
    again = Searched(problem(files, chips["j6m"], strategy=strategy, drop=drop), first)
    assert not again.kinds.keys() & {"check", "calibrate", *PASSES}


def test_float_outputs_too_large_to_keep_change_no_answer(files, chips, fresh, monkeypatch):
    monkeypatch.setattr(float_run, "MAX_STORED_BYTES", 0)
    found = Searched(problem(files, chips["j6m"]))
    assert found.document == fresh["j6m"].document
    runs = [item for item in found.run.order if item.kind.name == "float"]
    assert runs
    assert all("outputs" not in found.run.results[item.digest].blobs for item in runs)


@pytest.mark.parametrize("strategy", ["auto", "ladder"])
def test_another_metric_repeats_no_pass_of_the_float_model(files, chips, strategy):
    first = Searched(problem(files, chips["j6m"], strategy=strategy))
    again = Searched(problem(files, chips["j6m"], strategy=strategy, metric="f1"), first)
    assert again.kinds["baseline"] == 1
    assert not again.kinds.keys() & {"check", "calibrate", "collect", "float", "compare"}
    assert again.document == Searched(problem(files, chips["j6m"], strategy=strategy, metric="f1")).document


@pytest.mark.parametrize(
    "spec",
    [
        {"calibration": {"weights": {"granularity": "tensor"}}},
        {"calibration": {"weights": {"reduce_range": True}}},
        {"inputs": {"x": {"range": [-3, 3]}}},
        {"calibration": {"overrides": {"r1": {"range": [0, 1]}}}},
    ],
)
def test_other_scales_share_no_measurement_of_a_quantized_model(files, chips, fresh, spec):
    again = Searched(problem(files, chips["j6m"], **spec), fresh["j6m"])
    alone = Searched(problem(files, chips["j6m"], **spec))
    assert again.kinds["compare"] == alone.kinds["compare"] >= 3
    assert again.kinds["sensitivity"] > 0
    assert again.document == alone.document
