"""``--jobs``: several processes, the answer of one; what ends one of them loses nothing."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from search.errors import InvalidModelError
from search.study.items import check_work
from search.study.plan import Replay
from search.tasks import Item, ItemResult, Task
from search.work.item_runner import ItemRunner
from service.cli.exits import exit_of_error
from service.local.computing import compute
from service.local.inputs import LocalFiles
from service.local.pool import ProcessEndedError, processes
from service.local.store import RunStore
from tests.service.command import result_of, search
from tests.service.test_driver import Sitting
from tests.study.memory import digests, local_problem, without_times
from tests.study.small import write

TOP1 = [{"metric": "top1", "max_drop": 0.01}]
TASK_MACS = 5e5  # every round of the small study becomes several tasks


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return write(tmp_path_factory.mktemp("study"), n=300)


@pytest.fixture(scope="module")
def local(files):
    return local_problem(files, goal=TOP1, search={"strategy": "ladder", "task_macs": TASK_MACS})


@pytest.fixture(scope="module")
def answer(local, tmp_path_factory):
    return without_times(Sitting(local, tmp_path_factory.mktemp("whole") / "out").run())


def trials(out: Path) -> list[dict[str, str]]:
    """``trials.csv`` without the measured times."""
    rows = csv.DictReader(io.StringIO((out / "trials.csv").read_text()))
    return [{key: value for key, value in row.items() if key != "seconds"} for row in rows]


def stored(out: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (out / ".bitbudget" / "results.jsonl").read_bytes().splitlines()]


@pytest.mark.parametrize("strategy", ["ladder", "auto", "optuna"])
def test_one_and_two_jobs_give_the_same_answer(files, tmp_path, strategy):
    spec = tmp_path / "job.yaml"
    spec.write_text(f"schema: bitbudget.job/1\nsearch: {{strategy: {strategy}, batch: 2, task_macs: {TASK_MACS}}}\n")
    for jobs in (1, 2):
        assert search(files, tmp_path / f"{jobs}", "--spec", spec, "--jobs", str(jobs)).code == 0
    assert without_times(result_of(tmp_path / "1")) == without_times(result_of(tmp_path / "2"))
    assert trials(tmp_path / "1") == trials(tmp_path / "2")
    for name in ("sensitivity.csv", "qconfig.csv", "model.qdq.onnx", "ort_overrides.json"):
        assert (tmp_path / "1" / name).read_bytes() == (tmp_path / "2" / name).read_bytes(), name
    one, two = ({line["digest"]: line["data"] for line in stored(tmp_path / name)} for name in "12")
    assert one == two
    again = search(files, tmp_path / "1", "--spec", spec, "--jobs", "2")  # jobs are no part of what a run is
    assert again.code == 0
    assert len(stored(tmp_path / "1")) == len(one)


def test_both_processes_compute_and_every_item_once(local, tmp_path):
    store = RunStore(tmp_path / "out")
    store.open(local.identity, force=False)
    runner, replay = ItemRunner(local.problem, LocalFiles(local.paths, store)), Replay(local.problem)
    while len(tasks := replay.advance(store.results)) < 3:
        keep(store, compute(runner, store, tasks[0]))
    mine = []
    with processes(2, local, tmp_path / "out") as pool:

        def own(task):
            mine.append(task)
            wait_until(lambda: not pool._news.empty())  # the other process has given something
            yield from compute(runner, store, task)

        found = list(pool.run(tasks, own))
    store.close()
    assert 0 < len(mine) < len(tasks)
    assert Counter(one.item.digest for one in found) == Counter(digests(tasks))


def keep(store, found):
    for one in found:
        store.add(ItemResult(one.item.digest, one.item.kind.name, one.data, one.blobs))


def wait_until(holds, seconds=120.0):
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.005)


class Pooled(Sitting):
    """A sitting with further processes."""

    def run(self, *, jobs=2, watch=None, **options):
        with processes(jobs, self.local, self.store.out) as pool:
            self.options = {**self.options, "pool": pool}
            return super().run(watch=None if watch is None else lambda state: watch(state, pool), **options)


def is_gone(pid):
    """Whether no process of this id is left, or it only waits to be reaped by somebody else."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_a_process_that_dies_is_an_error_that_says_so_and_loses_nothing(local, tmp_path, answer):
    killed = []

    def kill(state, pool):
        if state.task.kind.name == "sensitivity" and state.done == 1 and not killed:
            killed.extend(pool.pids)
            os.kill(killed[0], signal.SIGKILL)

    out = tmp_path / "out"
    with pytest.raises(ProcessEndedError, match=r"ended by signal 9.*Everything finished is stored"):
        Pooled(local, out).run(watch=kill)
    before = stored(out)
    assert any(line["kind"] == "sensitivity" for line in before)
    assert all(is_gone(pid) for pid in killed)
    assert exit_of_error(ProcessEndedError("")) == 5
    again = Pooled(local, out)
    assert without_times(again.run()) == answer
    assert stored(out)[: len(before)] == before
    assert not {line["digest"] for line in before} & {result.digest for result in again.new}


def test_an_error_of_the_user_comes_back_as_it_is(local, tmp_path):
    problem = replace(local.problem, model="0" * 64)
    work = check_work(problem)
    task = Task((Item(work, "c"), Item(work, "d")))
    paths = {"0" * 64: tmp_path / "nothing.onnx", **local.paths}
    (tmp_path / "nothing.onnx").write_bytes(b"no model")
    with processes(2, replace(local, problem=problem, paths=paths), tmp_path) as pool:

        def own(task):
            wait_until(lambda: not pool._news.empty())
            return iter(())

        with pytest.raises(InvalidModelError, match=r"nothing\.onnx"):
            list(pool.run((task, task), own))


def test_a_stop_lets_every_process_finish_its_item_and_stores_it(local, tmp_path, answer):
    """Interrupted once in every kind of round that several processes share; continued with another number of them."""
    out, kinds = tmp_path / "out", []
    for jobs in (2, 3) * 10:
        seen = len(kinds)

        def watch(state, pool, seen=seen):
            shared = state.task is not None and state.total > len(state.task.items) and state.done == 1
            if shared and len(kinds) == seen and state.task.kind not in kinds:
                kinds.append(state.task.kind)

        document = Pooled(local, out, asked=lambda seen=seen: "interrupt" if len(kinds) > seen else None).run(
            watch=watch, jobs=jobs
        )
        assert document["stopped"] == ("interrupt" if len(kinds) > seen else None)
        if len(kinds) == seen:
            break
    assert without_times(document) == answer
    assert {kind.name for kind in kinds} >= {"sensitivity", "evaluate"}
    assert set(Counter(line["digest"] for line in stored(out)).values()) == {1}


def test_search_seconds_are_those_of_the_wall(local, tmp_path):
    began = time.monotonic()
    pooled = Pooled(local, tmp_path / "out", began=began)
    document = pooled.run()
    assert 0 < document["search"]["seconds"] <= time.monotonic() - began


def test_a_run_that_is_killed_takes_its_processes_along(files, tmp_path):
    with at_work(files, tmp_path) as process:
        children = children_of(process.pid)
        process.kill()
        process.communicate(timeout=300)
    assert len(children) >= 2
    wait_until(lambda: all(is_gone(pid) for pid in children))


@contextmanager
def at_work(files, folder):
    """A run with three jobs in a session of its own, while it measures sensitivity."""
    out, spec = folder / "out", folder / "job.yaml"
    spec.write_text(f"schema: bitbudget.job/1\nsearch: {{strategy: ladder, task_macs: {TASK_MACS}}}\n")
    options = ["--target", "j6m", "--max-drop", "0.01", "--spec", str(spec), "--jobs", "3", "--out", str(out)]
    command = [sys.executable, "-m", "bitbudget", "search", *files.arguments, *options]
    with subprocess.Popen(command, start_new_session=True, stderr=subprocess.PIPE, text=True) as process:
        results = out / ".bitbudget" / "results.jsonl"
        wait_until(lambda: results.is_file() and b'"sensitivity"' in results.read_bytes())
        yield process


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_the_whole_group_ends_every_process_and_leaves_a_valid_directory(files, tmp_path, number):
    """As Ctrl-C in a terminal does it."""
    out = tmp_path / "out"
    with at_work(files, tmp_path) as process:
        children = children_of(process.pid)
        os.killpg(process.pid, number)
        _, errors = process.communicate(timeout=300)
    assert process.returncode == 130, errors
    assert "Traceback" not in errors
    assert len(children) >= 2
    wait_until(lambda: all(is_gone(pid) for pid in children))
    assert result_of(out)["stopped"] == "interrupt"
    assert set(result_of(out)["artifacts"].values()) <= {path.relative_to(out).as_posix() for path in out.rglob("*")}


def children_of(pid):
    return [int(text) for text in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_no_jobs_at_all_is_a_wrong_request(files, tmp_path):
    ended = search(files, tmp_path / "out", "--jobs", "0")
    assert ended.code == 2
    assert "--jobs" in ended.err
