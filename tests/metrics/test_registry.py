"""Names, directions and options of metrics."""

import pytest

from search.errors import UsageError
from search.metrics.registry import METRIC_NAMES, make_metric
from search.spec.metric_names import RATES

DETECTION = ("coco_map", "coco_map50")


def test_directions_and_kinds_are_those_of_the_documentation():
    higher = {name for name in METRIC_NAMES if make_metric(name).direction == "higher"}
    fidelity = {name for name in METRIC_NAMES if make_metric(name).is_fidelity}
    assert higher == {"top1", "top5", "miou", "f1", "cosine", "sqnr_db", "auc", "f1_binary", "delta1", *DETECTION}
    assert set(METRIC_NAMES) - higher == {"mae", "rmse", "l1", "atol", "eer", "wer", "cer", "abs_rel"}
    assert fidelity == {"cosine", "sqnr_db", "l1", "atol"}
    assert {name for name in METRIC_NAMES if make_metric(name).needs_labels} == set(METRIC_NAMES) - fidelity
    assert {name for name in METRIC_NAMES if make_metric(name).is_rate} == RATES
    assert all(make_metric(name).name == name for name in METRIC_NAMES)


def test_an_unknown_metric_gets_a_suggestion():
    with pytest.raises(UsageError, match=r"Unknown metric 'top-1'. Did you mean 'top1'\? Metrics: top1, top5"):
        make_metric("top-1")
    with pytest.raises(UsageError, match=r"Unknown metric 'xyz'. Metrics"):
        make_metric("xyz")


@pytest.mark.parametrize("percentile", [0, -1, 100.5])
def test_a_percentile_out_of_range_is_refused(percentile):
    with pytest.raises(UsageError, match="above 0 and at most 100"):
        make_metric("atol", percentile)


def test_a_percentile_belongs_to_atol_only():
    with pytest.raises(UsageError, match="percentile belongs to atol, not to l1"):
        make_metric("l1", 99)
