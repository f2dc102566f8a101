"""The digest of a metric: whatever can change its answers changes it, and nothing else does."""

from __future__ import annotations

import functools
import threading
from pathlib import Path

import numpy as np
import pytest

from search.errors import UsageError
from search.metrics.user_metric import UserMetric, user_metric
from search.work.metric_identity import metric_digest


def plain(outputs, labels):
    return np.zeros(3)


def over(limit):
    def per_batch(outputs, labels):
        return outputs["y"][:, 0] > limit

    return per_batch


class Scored:
    direction = "higher"

    def __init__(self, weights):
        self.weights = weights

    def per_batch(self, outputs, labels):
        return outputs["y"] @ self.weights

    def value(self, records):
        return float(np.mean(records))


def digest(found) -> str:
    return metric_digest("mine", user_metric(found, name="mine"))


def three(outputs, labels, k):
    return np.zeros(3)


@pytest.mark.parametrize(
    ("one", "two"),
    [
        (over(0.5), over(0.6)),
        (over(np.float32([1, 2])), over(np.float32([1, 3]))),
        (over({"a": 1}), over({"a": 2})),
        (over(1), over(1.0)),
        (over(True), over(1)),
        (functools.partial(three, k=1), functools.partial(three, k=2)),
        (Scored([1.0]), Scored([2.0])),
        (plain, over(0.5)),
        (UserMetric(per_batch=plain, version="1"), UserMetric(per_batch=plain, version="2")),
        (UserMetric(per_batch=plain), UserMetric(per_batch=plain, value=len)),
        (UserMetric(per_batch=plain, value=len), UserMetric(per_batch=plain, value=sum)),
        (UserMetric(per_batch=plain), UserMetric(per_batch=plain, best=1.0)),
        (UserMetric(per_batch=plain), UserMetric(per_batch=plain, direction="lower")),
        (eval("lambda o, l: 1.0"), eval("lambda o, l: 2.0")),
    ],
)
def test_another_metric_has_another_digest(one, two) -> None:
    assert digest(one) != digest(two)


@pytest.mark.parametrize("make", [lambda: over(0.5), lambda: Scored(np.ones(2)), lambda: plain])
def test_the_same_metric_has_the_same_digest(make) -> None:
    assert digest(make()) == digest(make())


def test_another_source_of_the_module_has_another_digest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "one.py").write_text("LIMIT = 1\ndef f(outputs, labels):\n    return LIMIT\n")
    (tmp_path / "two.py").write_text("LIMIT = 2\ndef f(outputs, labels):\n    return LIMIT\n")
    monkeypatch.syspath_prepend(tmp_path)
    import one  # noqa: PLC0415
    import two  # noqa: PLC0415

    assert digest(one.f) != digest(two.f)


def test_what_cannot_be_told_apart_needs_a_version() -> None:
    lock = threading.Lock()
    with pytest.raises(UsageError, match=r"holds a lock, which cannot be told apart .*version='1'"):
        digest(over(lock))
    stated = UserMetric(per_batch=over(lock), version="1")
    assert digest(stated) != digest(UserMetric(per_batch=over(lock), version="2"))
