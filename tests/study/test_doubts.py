"""What cannot be meant is said of a whole study, and refused with ``strict``."""

from __future__ import annotations

import numpy as np
import pytest

from search.data.extremes import Extremes, Outlier, extremes_of
from search.data.inputs import InputInfo
from search.errors import InvalidDataError, UsageError
from search.study.findings import findings_of
from search.study.intake import first_look
from search.work.item_runner import ItemRunner
from tests.builders import model, node, run, save
from tests.data.reading import arrays, documented
from tests.study.memory import MemoryRun, local_problem
from tests.study.small import Files, write


def pool(tmp_path, x, calibration=None):
    """Mean of each of four channels, divided by the sum: NaN for a sample of zeros."""
    nodes = [
        node("ReduceSum", "x axes", "s", "sum"),
        node("Div", "x s", "d", "div"),
        node("Conv", "d w", "c", "conv"),
        node("Flatten", "c", "y", "flat"),
    ]
    rng = np.random.default_rng(0)
    proto = model(nodes, ["x[N,4,2,2]"], ["y[N,8]"], {"axes": np.array([1]), "w": rng.normal(size=(2, 4, 1, 1))})
    np.savez(tmp_path / "c.npz", x=np.abs(rng.normal(size=(32, 4, 2, 2))).astype(np.float32) + 1)
    np.savez(tmp_path / "e.npz", x=x)
    assert run(proto, {"x": x})["y"].shape == (len(x), 8)
    return Files(save(proto, tmp_path), tmp_path / "c.npz", tmp_path / "e.npz")


def test_nan_in_the_float_model_is_refused_with_the_samples(tmp_path):
    x = np.abs(np.random.default_rng(1).normal(size=(20, 4, 2, 2))).astype(np.float32) + 1
    x[[3, 7]] = 0
    goal = [{"metric": "sqnr_db", "min_value": 10.0}]
    with pytest.raises(InvalidDataError, match=r"NaN at output 'y' on 2 samples \(such as 3, 7\)"):
        MemoryRun(local_problem(pool(tmp_path, x), goal=goal)).run()


def test_the_cosine_of_few_numbers_is_refused_with_the_metric_to_take(tmp_path):
    rng = np.random.default_rng(0)
    proto = model([node("MatMul", "x w", "y", "m")], ["x[N,4]"], ["y[N,1]"], {"w": rng.normal(size=(4, 1))})
    for name in ("c", "e"):
        np.savez(tmp_path / f"{name}.npz", x=rng.normal(size=(20, 4)).astype(np.float32))
    files = Files(save(proto, tmp_path), tmp_path / "c.npz", tmp_path / "e.npz")
    local = local_problem(files, goal=[{"metric": "cosine", "min_value": 0.9}])
    with pytest.raises(UsageError, match=r"cosine of 1 numbers.*sqnr_db@y"):
        first_look(ItemRunner(local.problem, MemoryRun(local)))


@pytest.mark.parametrize("strict", [False, True])
def test_a_drop_in_percent_is_said_and_with_strict_refused(tmp_path, strict):
    local = local_problem(write(tmp_path, n=40), goal=[{"metric": "top1", "max_drop": 1.0}], strict=strict)
    memory = MemoryRun(local)
    if strict:
        with pytest.raises(InvalidDataError, match=r"strict: .*goal-cannot-fail: top1@logits"):
            memory.run()
        return
    assert "goal-cannot-fail" in [one.code for one in findings_of(local.problem, memory.run())]


def test_values_that_alone_set_a_range_are_found(tmp_path):
    x = np.ones((10, 3), np.float32)
    x[4, 1] = 1e5
    samples = documented(arrays(x=x, z=np.zeros((10, 3), np.float32)), inputs("x", "z"))
    assert extremes_of(samples, ("x", "z")) == Extremes(
        zero_inputs=("z",), outliers=(Outlier(input="x", sample=4, value=1e5, others=1.0),)
    )
    x[5, 0] = 1e5
    assert extremes_of(documented(arrays(x=x), inputs("x")), ("x",)).outliers == ()
    assert extremes_of(samples, ("x",)).zero_inputs == ()  # z only chooses rows


def test_token_types_that_are_all_zero_are_no_mistake(tmp_path):
    """They pick rows of a table and set no range; a picture of whole numbers that is all zero is one."""
    rng = np.random.default_rng(0)
    nodes = [
        node("Gather", "table types", "rows", "lookup"),
        node("Cast", "picture", "p", "cast", to=1),
        node("MatMul", "p w", "m", "product"),
        node("Add", "rows m", "y", "add"),
    ]
    tables = {"table": rng.normal(size=(2, 4)), "w": rng.normal(size=(6, 4))}
    proto = model(nodes, ["types:int64[N]", "picture:uint8[N,6]"], ["y[N,4]"], tables, opset=18)
    data = {"types": np.zeros(20, np.int64), "picture": np.zeros((20, 6), np.uint8)}
    np.savez(tmp_path / "c.npz", **data)
    np.savez(tmp_path / "e.npz", types=data["types"], picture=rng.integers(0, 255, (20, 6), np.uint8))
    files = Files(save(proto, tmp_path), tmp_path / "c.npz", tmp_path / "e.npz")
    local = local_problem(files, goal=[{"metric": "sqnr_db", "output": "y", "min_value": 1.0}])
    zero = [one for one in findings_of(local.problem, MemoryRun(local).run()) if one.code == "calibration-all-zero"]
    assert [one.evidence["input"] for one in zero] == ["picture"]


def inputs(*names):
    return [InputInfo(name, np.dtype(np.float32), (None, 3)) for name in names]
