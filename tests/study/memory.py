"""A study run on dicts: the smallest driver there is, and one that can be stopped anywhere."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from search.canonical import canonical_json, digest_bytes
from search.spec.load import build_job
from search.study.plan import Finished, Replay, Stop
from search.study.result import Measured, compose
from search.tasks import Answer, Answers, AnyItem, ItemResult, Task
from search.work.item_runner import ItemRunner, Raw
from search.work.kinds.registry import run_items
from search.work.problem import Problem
from service.local.inputs import LocalProblem, open_problem
from tests.study.small import Files

MEASURED = ("seconds", "float_evaluation_seconds")


TWO_LEVELS = ("j6e", "j6m", "j6p", "j6h", "ort-cpu")
"""Chips with a low and a high precision."""


def local_problem(
    files: Files, *, target: str = "j6m", chip: Any = None, dumps_layers: bool = False, **spec: Any
) -> LocalProblem:
    """The problem of a small study; ``spec`` holds further top-level keys, ``chip`` the whole key ``target``.

    The strategy is the ladder unless ``spec`` says otherwise: both bounds run on everything. The clock decides nothing
    unless ``spec`` says so: equal studies then have equal answers.
    """
    data = {"calibration": str(files.calibration), "evaluation": str(files.evaluation), **spec.pop("data", {})}
    values = {
        "schema": "bitbudget.job/1",
        "model": str(files.model),
        "data": data,
        "target": chip or {"name": target},
        **spec,
    }
    if values["target"]["name"] in TWO_LEVELS:
        values["search"] = {"strategy": "ladder", "measure": False, **values.get("search", {})}
    return open_problem(build_job(values), base=Path(), dumps_layers=dumps_layers)


@dataclass
class MemoryRun:
    """Results and blobs in dicts, and how often each item was computed."""

    local: LocalProblem
    results: dict[str, ItemResult] = field(default_factory=dict)
    blobs: dict[str, bytes] = field(default_factory=dict)
    computed: Counter[str] = field(default_factory=Counter)
    order: list[AnyItem] = field(default_factory=list)

    @property
    def problem(self) -> Problem:
        return self.local.problem

    def path(self, digest: str) -> Path:
        return self.local.paths[digest]

    def get(self, digest: str) -> bytes:
        return self.blobs[digest]

    def keep(self, item: AnyItem, raw: Raw[object], seconds: float = 0.0) -> None:
        """Store what an item gave; results go through JSON, as every store does it."""
        blobs = {name: digest_bytes(data) for name, data in raw.blobs.items()}
        self.blobs.update({blobs[name]: data for name, data in raw.blobs.items()})
        data = json.loads(canonical_json(raw.data))
        self.results[item.digest] = ItemResult(item.digest, item.kind.name, data, blobs, seconds=seconds)
        self.computed[item.digest] += 1
        self.order.append(item)

    def answer(self, kind: str) -> Answer[Any]:
        """The first answer of a kind."""
        item = next(item for item in self.order if item.kind.name == kind)
        return Answers(self.results)[item]

    def run(self, *, stop: Stop | None = None) -> Finished:
        """Compute with one runner until nothing is missing."""
        runner, replay = ItemRunner(self.problem, self), Replay(self.problem)
        while tasks := replay.advance(self.results, stop):
            self.computing(runner, tasks[0])
        assert replay.finished is not None
        return replay.finished

    def computing(self, runner: ItemRunner, task: Task) -> None:
        """Compute one task and keep what it gave."""
        for item, raw in run_items(runner, task):
            self.keep(item, raw)

    def files(self, finished: Finished, *, stopped: str | None = None) -> dict[str, bytes]:
        """The output directory."""
        return compose(self.problem, finished, Measured(seconds=1.0, stopped=stopped), self.get)

    def document(self, finished: Finished, *, stopped: str | None = None) -> dict[str, Any]:
        """``result.json``."""
        found: dict[str, Any] = json.loads(self.files(finished, stopped=stopped)["result.json"])
        return found


def digests(tasks: tuple[Task, ...]) -> list[str]:
    return [item.digest for task in tasks for item in task.items]


def without_times(document: Mapping[str, Any]) -> dict[str, Any]:
    """A result without the fields in which equal studies may differ."""
    search = {key: value for key, value in document["search"].items() if key not in MEASURED}
    trials = [{**trial, "seconds": 0.0} for trial in document["trials"]]
    made = dict.fromkeys(("command", "machine", "date", "seconds"))
    given = document["provenance"]  # a server knows files by their content, not by the names they had
    named = {"model": {**given["model"], "file": ""}, "data": [{**one, "file": ""} for one in given["data"]]}
    provenance = {**given, **made, **named, "job": {}, "versions": {}}
    return {**document, "search": search, "trials": trials, "provenance": provenance}
