"""The run directory: what survives a kill, whose files are deleted, who may write."""

from __future__ import annotations

import json

import pytest

from search.errors import UsageError
from search.tasks import ItemResult
from service.local.deliver import deliver
from service.local.store import RunStore
from tests.service.command import tree

SPEC = {"model": "sha256:1", "search.seed": 0}


OPEN: list[RunStore] = []


@pytest.fixture(autouse=True)
def _closed():
    yield
    while OPEN:
        OPEN.pop().close()


def opened(out, *, force=False, spec=SPEC):
    store = RunStore(out)
    store.open(spec, force=force)
    OPEN.append(store)
    return store


def filled(out):
    store = opened(out)
    store.add(ItemResult("a", "check", {"n": 1}, {"x": store.put(b"first")}, seconds=0.5))
    store.add(ItemResult("b", "evaluate", {"n": 2}, {"y": store.put(b"second")}, seconds=0.25))
    store.close()
    return store


def test_results_and_blobs_come_back(tmp_path):
    before = filled(tmp_path / "out")
    after = opened(tmp_path / "out")
    assert after.results == before.results
    assert after.get(after.results["a"].blobs["x"]) == b"first"
    with pytest.raises(KeyError):
        after.get("0" * 64)


@pytest.mark.parametrize("cut", [1, 5, 30])
def test_a_line_cut_off_is_ignored_and_the_next_one_stands_alone(tmp_path, cut):
    filled(tmp_path / "out")
    path = tmp_path / "out" / ".bitbudget" / "results.jsonl"
    path.write_bytes(path.read_bytes()[:-cut])
    store = opened(tmp_path / "out")
    whole = {"a", "b"} if cut == 1 else {"a"}  # one byte: only the end of the line is missing
    assert set(store.results) == whole
    store.add(ItemResult("c", "evaluate", {}))
    store.close()
    assert set(opened(tmp_path / "out").results) == {*whole, "c"}


def test_a_result_whose_blob_is_gone_does_not_count(tmp_path):
    store = filled(tmp_path / "out")
    store.blob_path(store.results["a"].blobs["x"]).unlink()
    assert set(opened(tmp_path / "out").results) == {"b"}


def test_another_spec_is_refused_by_name(tmp_path):
    filled(tmp_path / "out")
    before = tree(tmp_path / "out")
    with pytest.raises(UsageError, match=r"another spec \(different: model\)"):
        opened(tmp_path / "out", spec={**SPEC, "model": "sha256:2"})
    with pytest.raises(UsageError, match=r"different: pins, search\.seed"):
        opened(tmp_path / "out", spec={**SPEC, "search.seed": 1, "pins": []})
    assert tree(tmp_path / "out") == before


def test_a_directory_with_foreign_files_is_refused_even_with_force(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    for force in (False, True):
        with pytest.raises(UsageError, match="not empty"):
            opened(tmp_path, force=force)
    assert tree(tmp_path) == {"notes.txt": b"mine"}


def test_an_empty_directory_is_taken(tmp_path):
    assert opened(tmp_path).results == {}


def test_force_deletes_the_run_and_what_it_delivered_and_nothing_else(tmp_path):
    out = tmp_path / "out"
    store = filled(out)
    deliver(store, {"a/b/file.txt": b"1", "report.html": b"2", "result.json": b"{}"})
    (out / "a" / "mine.txt").write_text("mine")
    (out / "mine").mkdir()
    (out / "mine" / "report.html").write_text("mine")
    store = opened(out, force=True, spec={**SPEC, "search.seed": 7})
    assert store.results == {}
    kept = {name for name in tree(out) if not name.startswith(".bitbudget")}
    assert kept == {"a/mine.txt", "mine/report.html"}
    store.close()
    assert opened(out, spec={**SPEC, "search.seed": 7}).results == {}


def test_force_follows_no_way_out_of_the_directory(tmp_path):
    (tmp_path / "precious").write_text("mine")
    store = filled(tmp_path / "out")
    store.note_delivered(["../precious", str(tmp_path / "precious")])
    opened(tmp_path / "out", force=True)
    assert (tmp_path / "precious").read_text() == "mine"


def test_two_runs_cannot_share_a_directory(tmp_path):
    first = opened(tmp_path / "out")
    with pytest.raises(UsageError, match="Another run"):
        opened(tmp_path / "out")
    first.close()
    opened(tmp_path / "out").close()


def test_discard_leaves_no_trace_of_a_new_run_and_all_of_an_old_one(tmp_path):
    store = opened(tmp_path / "new")
    store.put(b"1")
    store.discard()
    assert list(tmp_path.iterdir()) == []
    filled(tmp_path / "old")
    before = tree(tmp_path / "old")
    opened(tmp_path / "old").discard()
    assert tree(tmp_path / "old") == before


def test_inspect_changes_nothing(tmp_path):
    RunStore(tmp_path / "out").inspect(SPEC, force=True)
    assert list(tmp_path.iterdir()) == []


def test_results_taken_over_are_marked_and_cost_nothing(tmp_path):
    other, store = filled(tmp_path / "other"), opened(tmp_path / "out")
    assert store.take_over(other, ["a", "missing"]) == 1
    assert store.take_over(other, ["a"]) == 0
    taken = store.results["a"]
    assert (taken.reused, taken.seconds, taken.data) == (True, 0.0, {"n": 1})
    assert store.get(taken.blobs["x"]) == b"first"
    store.close()
    assert opened(tmp_path / "out").results["a"].reused


def test_delivery_writes_only_what_changed_and_drops_what_is_stale(tmp_path):
    store = opened(tmp_path / "out")
    deliver(store, {"a.txt": b"1", "old/b.txt": b"2", "result.json": b"{}"})
    times = {path: path.stat().st_mtime_ns for path in store.out.iterdir() if path.is_file()}
    deliver(store, {"a.txt": b"1", "old/b.txt": b"2", "result.json": b"{}"})
    assert {path: path.stat().st_mtime_ns for path in store.out.iterdir() if path.is_file()} == times
    deliver(store, {"a.txt": b"1", "result.json": b'{"n": 1}'})
    assert not (store.out / "old").exists()
    assert json.loads((store.out / "result.json").read_text()) == {"n": 1}


def test_a_delivery_that_breaks_off_leaves_no_result(tmp_path, monkeypatch):
    store = opened(tmp_path / "out")
    deliver(store, {"a.txt": b"1", "result.json": b"{}"})
    monkeypatch.setattr("service.local.deliver.write_atomically", full_disk)
    with pytest.raises(UsageError, match="space"):
        deliver(store, {"a.txt": b"2", "result.json": b'{"n": 2}'})
    assert not (store.out / "result.json").exists()
    store.close()
    opened(tmp_path / "out", force=True)
    assert {name for name in tree(tmp_path / "out") if not name.startswith(".bitbudget")} == set()


def full_disk(path, data):
    raise OSError(28, "No space left on device")
