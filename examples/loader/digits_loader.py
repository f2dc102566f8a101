"""A loader, a preprocessing function and a metric of one's own: ``python examples/loader/digits_loader.py [FOLDER]``.

The loader yields raw pictures in batches, as a torch ``DataLoader`` over raw camera pictures would; any object
that yields batches works. ``prepare`` brings each picture to what the network takes. The metric is the recall of the
class that does worst, which no mean over samples can say.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import bitbudget

DIGITS = Path(__file__).parent.parent / "digits"
LIGHTEST = 2**14 - 1


class Pictures:
    """Batches of raw pictures and their labels; the same ones in every pass, as ``shuffle=False`` gives."""

    def __init__(self, file: Path, *, batch: int = 64, most: int = 600) -> None:
        with np.load(file) as arrays:
            self.pictures = np.round(arrays["image"][:most] * LIGHTEST).astype(np.uint16)
            self.labels = arrays["labels"][:most] if "labels" in arrays else np.zeros(len(self.pictures), np.int64)
        self.batch = batch

    def __len__(self) -> int:
        return (len(self.pictures) + self.batch - 1) // self.batch

    def __iter__(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for start in range(0, len(self.pictures), self.batch):
            rows = slice(start, start + self.batch)
            yield self.pictures[rows], self.labels[rows]


def prepare(sample: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Pixels of 14 bits become numbers 0 to 1."""
    return {**sample, "image": sample["image"].astype(np.float32) / LIGHTEST}


def worst_recall(records: Sequence[tuple[int, int]]) -> float:
    """Share of right answers of the digit that is read worst."""
    labels, right = np.array(records).T
    return float(min(right[labels == digit].mean() for digit in np.unique(labels)))


@bitbudget.metric(value=worst_recall, direction="higher", version="1")
def recall(outputs: dict[str, np.ndarray], labels: dict[str, Any]) -> list[tuple[int, bool]]:
    """The label of each picture, and whether it was read."""
    (scores,) = outputs.values()
    right = scores.argmax(axis=1) == labels["labels"]
    return list(zip(labels["labels"].tolist(), right.tolist(), strict=True))


def main(out: Path | None = None) -> bitbudget.Result:
    """Search, print and return the result."""
    names = ["image", "labels"]
    result = bitbudget.search(
        DIGITS / "digits.onnx",
        calibration=bitbudget.Samples.from_loader(
            Pictures(DIGITS / "calibration.npz"), names=names, preprocess=prepare
        ),
        evaluation=bitbudget.Samples.from_loader(Pictures(DIGITS / "evaluation.npz"), names=names, preprocess=prepare),
        goal=recall.goal(max_drop=0.05),
        target="j6m",
        out=out,
    )
    result.show()
    return result


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
