"""Which values are better, by the spec of a study."""

from __future__ import annotations

from service.usecases.studies.front import front_among, lower_metrics
from tests.trial_rows import trial_record

ERRORS = {"rmse", "mae", "l1", "atol", "abs_rel", "wer", "cer", "eer"}


def test_which_values_are_better_follows_from_the_goals() -> None:
    spec = {"goal": [{"metric": "onnx:sha256:x", "max_value": 1.0}, {"metric": "top1"}]}
    assert lower_metrics(spec) == {"onnx:sha256:x"} | ERRORS
    assert "top1" not in lower_metrics({})


def test_an_error_that_grows_beside_a_higher_cost_is_beaten() -> None:
    better, worse = (trial_record(no, cost=no, seen={"mae@xy": 0.1 * no}) for no in (1, 2))
    assert front_among((better, worse), {}) == (better,)
