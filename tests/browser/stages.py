"""Studies in every stage, as workers leave them in the database."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from search.export.json_text import json_line
from search.records.trial import Estimate
from service.store.db import events, studies
from service.store.db.trials import TrialRow
from tests.export.views_example import example_layers, example_map
from tests.service.api.serving import Server, submit, trial
from tests.trial_rows import changed

GOAL = {"id": "top1@logits", "direction": "higher", "float": 0.75, "required": 0.74}
PROGRESS = {
    "task": "evaluate an assignment",
    "completed": 2,
    "total": 8,
    "unit": "items",
    "trials": 4,
    "goals": [GOAL],
    "chosen_trial": 3,
    "cost": {"unit": "index", "all_low": 1.0, "all_high": 1.941},
    "n_samples": 900,
}
RESULT = {
    "outcome": "met",
    "stopped": None,
    "metrics": [
        {
            **GOAL,
            "name": "top1",
            "output": "logits",
            "evaluator": "integer",
            "chosen": 0.7417,
            "qdq": 0.7421,
            "interval": [0.7122, 0.7694],
            "n_samples": 900,
            "difference": {"value": -0.0083, "interval": [-0.0141, -0.0022], "method": "newcombe_paired"},
        }
    ],
    "chosen_trial": 3,
    "cost": {"unit": "index", "chosen": 1.132, "all_low": 1.0, "all_high": 1.941, "source": "assumed"},
    "search": {"evaluations": 4, "full_set_equivalents": 3.1, "seconds": 61.2},
}
TRIALS = (
    changed(trial(1, 1.941, 0.75), stage="all-int16", why="upper bound", n_run=900, n_samples=900),
    changed(trial(2, 1.0, 0.71, "not_met"), stage="all-int8", why="lower bound", n_run=900, n_samples=900),
    changed(
        trial(3, 1.132, 0.7417), stage="int8/int16: common ratio", ratio=0.125, why="rows 12", n_run=900, n_samples=900
    ),
    changed(
        trial(4, 1.07, 0.69, "rejected"),
        stage="int8/int16: heavy groups back",
        why="ruled out",
        n_run=256,
        n_samples=900,
        estimates={"top1@logits": Estimate(0.72, 0.7, 0.735)},
    ),
)
SENSITIVITY = (
    "output,metric,base,op_name,sensitive_type,op_type,value,dtype,flops,flops_share,group,rank\n"
    "logits,cosine,int8/int16,stem/conv,activation,Conv,0.0123,int8,1000,0.5,g0,1\n"
    "logits,cosine,int8/int16,head/fc,weight,Gemm,0.0042,int8,1000,0.5,g1,2\n"
)
FINDING = {
    "code": "few-samples",
    "severity": "warning",
    "message": "Only 12 calibration samples.",
    "advice": "Take a hundred.",
}


def detailed(row: TrialRow, precision: str = "a16w8") -> TrialRow:
    """The trial with an assignment of two groups."""
    return changed(row, detail={"requested": ["a8w8", "a8w8"], "effective": [precision, "a8w8"], "reasons": {}})


def queued(server: Server) -> str:
    return submit(server.client())


def running(server: Server) -> str:
    study = queued(server)
    server.move(study, expect="queued", to="running")
    server.add_trials(study, [detailed(row) for row in TRIALS])
    with server.database.writing() as connection:
        studies.update(connection, study, phase="search", progress=PROGRESS)
    return study


def done(server: Server) -> str:
    study = running(server)
    server.deliver(
        study,
        {
            "result.json": json.dumps({"findings": [FINDING]}).encode(),
            "sensitivity.csv": SENSITIVITY.encode(),
            "precision_map.json": json_line(example_map()),
            "layers.json": json_line(example_layers()),
            "trials.csv": b"trial\n",
        },
    )
    server.move(study, expect="running", to="succeeded", outcome="met", result=RESULT)
    return study


def failed(server: Server) -> str:
    study = queued(server)
    error = {"code": "invalid-data", "blame": "user", "message": "Labels are missing.", "hint": "Add them."}
    server.move(study, expect="queued", to="failed", error=error)
    return study


STAGES = {"queued": queued, "running": running, "done": done, "failed": failed}


def tell(server: Server, study: str, kind: str, data: Mapping[str, Any], **changes: Any) -> None:
    """What a worker does when something happened: the rows first, then the event."""
    tenant = server.tenant()
    with server.database.writing() as connection:
        if changes:
            studies.update(connection, study, **changes)
        events.append(connection, study_id=study, tenant_id=tenant, kind=kind, data=data)
