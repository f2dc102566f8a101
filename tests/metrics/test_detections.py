"""Average precision of detections, against the COCO evaluation of another library and against small cases by hand."""

from __future__ import annotations

import contextlib
import io

import numpy as np
import pytest

from search.metrics.custom import MetricFailedError
from search.metrics.detections import KEPT, box_iou, coco_map, coco_map50, detections, matches
from search.metrics.recorded import measure_batch
from search.metrics.registry import make_metric


def scene(seed, n=12, classes=3):
    """Boxes, and detections that are these boxes moved, some missed, some made up; scores are rounded, so that tie."""
    rng = np.random.default_rng(seed)
    labels, found = [], []
    for _ in range(n):
        k = int(rng.integers(0, 6))
        corner, size = rng.uniform(0, 80, (k, 2)), rng.uniform(5, 40, (k, 2))
        boxes = np.column_stack([rng.integers(classes, size=k), corner, corner + size])
        labels.append(boxes)
        moved = np.repeat(boxes, 2, axis=0)
        moved[:, 1:] += rng.normal(0, 3, moved[:, 1:].shape)
        moved[:, 3:] = np.maximum(moved[:, 3:], moved[:, 1:3] + 1)
        moved[:, 0] = np.where(rng.random(len(moved)) < 0.15, rng.integers(classes, size=len(moved)), moved[:, 0])
        rows = np.column_stack([moved[:, 1:], np.round(rng.random(len(moved)), 1) + 0.05, moved[:, 0]])
        found.append(rows[rng.random(len(rows)) < 0.9])
    return labels, found


def padded(found):
    out = np.zeros((len(found), max(1, *(len(one) for one in found)), 6))
    for row, one in enumerate(found):
        out[row, : len(one)] = one
    return out


def by_pycocotools(labels, found):
    coco = pytest.importorskip("pycocotools.coco", reason="pip install pycocotools")
    cocoeval = pytest.importorskip("pycocotools.cocoeval")
    boxes = [(image, *box) for image, some in enumerate(labels) for box in some]
    data = coco.COCO()
    data.dataset = {
        "images": [{"id": image} for image in range(len(labels))],
        "categories": [{"id": c} for c in range(3)],
        "annotations": [
            {"id": n + 1, "image_id": i, "category_id": int(c), "bbox": [x, y, u - x, v - y], "iscrowd": 0}
            | {"area": (u - x) * (v - y)}
            for n, (i, c, x, y, u, v) in enumerate(boxes)
        ],
    }
    with contextlib.redirect_stdout(io.StringIO()):
        data.createIndex()
        results = [
            {"image_id": i, "category_id": int(c), "bbox": [x, y, u - x, v - y], "score": s}
            for i, some in enumerate(found)
            for x, y, u, v, s, c in some
        ]
        run = cocoeval.COCOeval(data, data.loadRes(results), "bbox")
        run.evaluate()
        run.accumulate()
        run.summarize()
    return run.stats[0], run.stats[1]


@pytest.mark.parametrize("seed", range(12))
def test_it_is_what_the_coco_evaluation_gives(seed):
    labels, found = scene(seed)
    records = matches({"y": padded(found)}, {"labels": labels})
    expected = by_pycocotools(labels, found)
    assert coco_map(records) == pytest.approx(expected[0], abs=1e-9)
    assert coco_map50(records) == pytest.approx(expected[1], abs=1e-9)


def test_a_case_by_hand():
    """Two boxes; the better detection hits at every threshold, the worse one at none: precision 1 up to recall 0.5."""
    labels = [np.array([[0, 0, 0, 10, 10], [0, 50, 50, 60, 60]])]
    found = np.array([[[0, 0, 10, 10, 0.9, 0], [20, 20, 30, 30, 0.8, 0], [0, 0, 0, 0, 0, 0]]])
    records = matches({"y": found}, {"labels": labels})
    assert records == [[[[0, 2]], [[0, 0.9, 1023], [0, 0.8, 0]]]]
    assert coco_map(records) == pytest.approx(51 / 101)


def test_a_raw_head_is_decoded_and_suppressed_per_class():
    anchors = np.array(
        [
            [15, 15, 10, 10, 0.9, 0.1],
            [15.5, 15, 10, 10, 0.8, 0.1],  # IoU 0.9 with the first, same class: gone
            [15, 15, 10, 10, 0.1, 0.7],  # the same place, another class: stays
            [60, 60, 10, 10, 0.0005, 0.0001],  # below the lowest score
        ]
    )
    (rows,) = detections(anchors.T[None].astype(np.float32))
    np.testing.assert_allclose(rows, [[10, 10, 20, 20, 0.9, 0], [10, 10, 20, 20, 0.7, 1]], rtol=1e-6)


def test_a_raw_head_leaves_no_more_than_the_limit():
    rng = np.random.default_rng(0)
    head = np.concatenate([rng.uniform(0, 1e6, (2, 900)), np.ones((2, 900)), rng.random((3, 900))])
    (rows,) = detections(head[None])
    assert len(rows) == KEPT
    assert (np.diff(rows[:, 4]) <= 0).all()


def test_overlaps_are_those_of_the_areas():
    one = np.array([[0.0, 0, 2, 2], [0, 0, 0, 0]])
    assert box_iou(one, one).tolist() == [[1.0, 0.0], [0.0, 0.0]]
    assert box_iou(one[:1], np.array([[1.0, 1, 3, 3]]))[0, 0] == pytest.approx(1 / 7)


def test_images_without_boxes_or_detections_count():
    empty = matches({"y": np.zeros((1, 1, 6))}, {"labels": [np.zeros((0, 5))]})
    assert empty == [[[], []]]
    assert np.isnan(coco_map(empty))
    missed = matches({"y": np.zeros((1, 1, 6))}, {"labels": [np.array([[1, 0, 0, 5, 5]])]})
    assert coco_map(missed) == 0.0


@pytest.mark.parametrize(
    ("output", "labels", "said"),
    [
        (np.zeros((1, 4)), [np.zeros((0, 5))], r"shape \[1, 4\]; it must be \[n, detections, 6\]"),
        (np.zeros((1, 3, 9)), [np.zeros((0, 5))], r"shape \[1, 3, 9\]"),
        (np.zeros((1, 2, 6)), [np.zeros((2, 4))], r"shape \[2, 4\]; they must be \[boxes, 5\]"),
    ],
)
def test_what_is_no_detection_is_named(output, labels, said):
    with pytest.raises(MetricFailedError, match=said):
        measure_batch(make_metric("coco_map"), 1, lambda rows: ({"y": output}, {"labels": labels}))
