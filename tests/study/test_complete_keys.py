"""Results of one digest are equal whoever computes them: whatever a result depends on is part of its item.

Studies that differ in one thing are computed apart from each other; what they share by digest must be the same.
"""

from __future__ import annotations

import json
from dataclasses import fields, is_dataclass, replace
from functools import cache

import pytest

from search.canonical import canonical_json
from search.tasks import Item
from search.work.kinds.registry import KINDS, WORKS, item_from_json
from tests.study.memory import MemoryRun, local_problem
from tests.study.small import whole_numbers

EASY = {"metric": "top1", "max_drop": 0.6}
"""All-low meets it, so that studies deliver the same and share what they can."""
OTHER = {
    "seed": {"search": {"seed": 1}},
    "an input kept": {"inputs": {"x": {"quantize": False}}},
    "a range": {"inputs": {"x": {"range": [0.0, 200.0]}}},
    "one scale per tensor": {"calibration": {"weights": {"granularity": "tensor"}}},
    "fewer samples": {"calibration": {"samples": 8}},
    "a tensor's method": {"calibration": {"overrides": {"r1": {"method": "min_max"}}}},
    "a tensor's range": {"calibration": {"overrides": {"r1": {"range": [0.0, 9.0]}}}},
    "samples held back": {"data": {"confirmation_share": 0.25}},
    "few bad cases": {"badcase": {"samples": 7}},
    "a transform": {"outputs": {"logits": {"transform": "softmax"}}},
    "an output at int8": {"outputs": {"logits": {"precision": "int8"}}},
    "a pin": {"pins": [{"match": "conv2", "at_least": "a16w8"}]},
    "another evaluator": {"search": {"evaluator": "fake_quant"}},
}
CASES = [("j6m", name) for name in OTHER] + [("tx5105c", name) for name in ("seed", "an input kept", "a range")]


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    """A function that computes a study from scratch, once."""
    files = whole_numbers(tmp_path_factory.mktemp("study"))

    @cache
    def run(target, name=None):
        settings = {} if name is None else OTHER[name]
        found = MemoryRun(local_problem(files, target=target, goal=[EASY], **settings))
        found.run()
        return found

    return run


@pytest.mark.parametrize(("target", "name"), CASES)
def test_what_two_studies_share_each_of_them_computes_alike(searched, target, name):
    one, other = searched(target), searched(target, name)
    shared = one.results.keys() & other.results.keys()
    assert other.results.keys() - shared, "the setting changes nothing"
    for digest in shared:
        found, again = one.results[digest], other.results[digest]
        assert found.data == again.data, found.kind
        assert found.blobs == again.blobs, found.kind


@pytest.mark.parametrize("target", ["j6m", "tx5105c"])
def test_items_survive_json_and_nothing_of_them_is_left_out(searched, target):
    for item in searched(target).order:
        sent = json_of(item)
        back = item_from_json(sent)
        assert (back, back.work) == (item, item.work)
        assert_every_field(item.work, sent["work"])


def json_of(item):
    return json.loads(canonical_json(item.to_json()))


def assert_every_field(value, stored):
    """Every field of every dataclass is a key of its JSON."""
    if not is_dataclass(value):
        return
    if isinstance(stored, dict):
        assert stored.keys() == {one.name for one in fields(value)}
        for one in fields(value):
            assert_every_field(getattr(value, one.name), stored[one.name])


def test_a_calibration_knows_whether_an_input_is_kept(searched):
    plain, kept = (
        next(i for i in run.order if i.kind.name == "calibrate")
        for run in (searched("j6m"), searched("j6m", "an input kept"))
    )
    assert plain.work.histograms == kept.work.histograms
    assert plain.digest != kept.digest
    assert Item(replace(kept.work, decided=plain.work.decided), kept.context) == plain


def test_names_of_kinds_are_their_own():
    assert list(KINDS) == [work.kind.name for work in WORKS.values()]
    assert len({kind.label for kind in KINDS.values()}) == len(KINDS)


@pytest.mark.parametrize(
    "sent",
    [
        {"kind": "unheard", "context": "c", "work": {}},
        {"kind": "check", "context": 1, "work": {}},
        {"kind": "check", "context": "c", "work": {"evaluation": None}},
        {"kind": "check", "context": "c"},
        {"kind": ["check"], "context": "c", "work": {}},
        {},
    ],
)
def test_what_is_no_item_is_refused_with_its_reason(sent):
    with pytest.raises(ValueError, match=r"no kind of work|No Check|needs a kind"):
        item_from_json(sent)
