"""What is measured is at the opset of what is delivered: of another one the runtime joins other operators."""

from __future__ import annotations

from typing import ClassVar

import onnx
import pytest

from search.runtime.session import Session
from search.work import item_runner
from search.work.item_runner import ItemRunner
from tests.study.memory import MemoryRun, local_problem
from tests.study.small import conv_net, write

GOAL = [{"metric": "cosine", "output": "logits", "min_value": 0.5}]


class Recorded(Session):
    """A session that keeps the opsets of what was loaded."""

    opsets: ClassVar[list[int]] = []

    def __init__(self, model, **options):
        super().__init__(model, **options)
        proto = onnx.load_from_string(model) if isinstance(model, bytes) else model
        self.opsets.append(proto.opset_import[0].version)


@pytest.mark.parametrize("target", ["ort-cpu", "j6m"])
def test_both_are_at_one_opset(tmp_path, monkeypatch, target):
    files = write(tmp_path, conv_net(loud=1.0), n=20)
    run = MemoryRun(local_problem(files, target=target, goal=GOAL))
    configuration = run.run().chosen.configuration
    runner = ItemRunner(run.problem, run)
    assert runner.loaded.opset[1] == 21
    monkeypatch.setattr(item_runner, "Session", Recorded)
    Recorded.opsets.clear()
    runner.evaluable(configuration, "fake_quant", ())
    runner.exported(configuration)
    measured, exported = Recorded.opsets
    assert measured == exported < 21
