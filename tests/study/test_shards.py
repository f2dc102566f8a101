"""A large round is cut into tasks by its work, so that several workers can share it; the answer stays the same."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search.strategies.shared.evaluation_run import MAX_RANGE, sample_ranges
from search.strategies.shared.recheck import packed
from search.study.plan import Replay
from search.work.item_runner import ItemRunner
from search.work.kinds.registry import run_items
from tests.study.memory import MemoryRun, local_problem, without_times
from tests.study.small import write

TOP1 = [{"metric": "top1", "max_drop": 0.01}]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return write(tmp_path_factory.mktemp("shards"), n=300)


@pytest.fixture(scope="module")
def whole(files):
    run = MemoryRun(local_problem(files, goal=TOP1))
    return without_times(run.document(run.run()))


def run_in_shards(run):
    """Compute every round backwards, each task with a runner of its own, and note how many tasks there were."""
    widths, replay = {}, Replay(run.problem)
    while tasks := replay.advance(run.results):
        for kind, n in Counter(task.kind.name for task in tasks).items():
            widths[kind] = max(widths.get(kind, 0), n)
        for task in reversed(tasks):
            for item, raw in run_items(ItemRunner(run.problem, run), task):
                run.keep(item, raw)
    return widths, run.document(replay.finished)


def test_a_large_evaluation_is_cut_by_work_and_gives_the_same_answer(files, whole):
    macs = 8 * 9 * 64 + 12 * 8 * 9 * 16 + 120  # conv1, conv2, head
    run = MemoryRun(local_problem(files, goal=TOP1, search={"task_macs": 70.0 * macs}))
    widths, document = run_in_shards(run)
    for kind in ("float", "evaluate", "recheck", "unoptimized", "compare"):
        assert widths[kind] > 1, kind
    assert without_times(document) == whole
    assert set(run.computed.values()) == {1}
    rechecked = [result for result in run.results.values() if result.kind == "recheck"]
    assert sum("model" in result.blobs for result in rechecked) == 1 < len(rechecked)  # one file, not one per shard


def test_what_nothing_can_stop_runs_in_one_round(files):
    """By margin only the judge stops an evaluation, and it does not judge the exported model."""
    run = MemoryRun(local_problem(files, goal=TOP1, search={"strategy": "auto"}))
    runner, replay, rounds = ItemRunner(run.problem, run), Replay(run.problem), []
    while tasks := replay.advance(run.results):
        asked = [item for task in tasks for item in task.items]
        rounds.append([one.work.evaluator for one in asked if one.kind.name == "evaluate"])
        for task in tasks:
            for item, raw in run_items(runner, task):
                run.keep(item, raw)
    session = replay.finished.session
    assert session.setting.ordered
    exported = sum(trial.exported is not None for trial in session.trials)
    assert sum("fake_quant" in evaluators for evaluators in rounds) == exported > 0


def test_ranges_are_packed_into_shares_of_about_one_size():
    ranges = [(0, 64, "a"), (64, 128, "b"), (128, 300, "c"), (300, 310, "d")]
    assert packed(ranges, 1.0, 200.0) == (((0, 64, "a"),), ((64, 128, "b"),), ((128, 300, "c"),), ((300, 310, "d"),))
    assert packed(ranges, 1.0, 800.0) == (((0, 64, "a"), (64, 128, "b")), ((128, 300, "c"), (300, 310, "d")))
    assert packed(ranges, 1.0, 1e9) == (tuple(ranges),)


@settings(max_examples=200)
@given(start=st.integers(0, 40), n=st.integers(1, 30_000), batch=st.integers(1, 64), most=st.floats(0.1, 1e5))
def test_ranges_cover_the_samples_in_whole_batches_of_one_size_within_the_work(start, n, batch, most):
    start *= batch
    setting = SimpleNamespace(batch=batch, macs=2.0, task_macs=2.0 * most)
    found = sample_ranges(start, start + n, setting)
    assert [begin for begin, _ in found] == [start, *(stop for _, stop in found[:-1])]
    assert found[-1][1] == start + n
    sizes = [stop - begin for begin, stop in found]
    assert len(set(sizes[:-1])) <= 1
    assert all(size % batch == 0 for size in sizes[:-1])
    assert max(sizes) <= max(batch, min(most, MAX_RANGE))
