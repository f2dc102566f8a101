"""``baseline``: the user's untouched model on every evaluation sample, in the order of the study."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from search.evaluation.measure import measure, runs
from search.study.bench import Bench, Raw, make_uses, save_arrays

MAX_STORED_BYTES = 256 * 2**20
"""Float outputs above this are computed again where they are needed instead of being stored."""


def run_baseline(bench: Bench, params: Mapping[str, Any]) -> Raw:
    """Measure the float model and keep its outputs."""
    loaded = bench.loaded
    uses = make_uses(params["uses"])
    measured = measure(loaded.user_session, bench.evaluation, loaded.feeding, bench.order, uses=uses, reference=None)
    data = {"parts": {use.id: measured.parts[use.id].to_json() for use in uses}, "digest": measured.digest}
    stored = _outputs(bench, params["outputs"])
    return Raw(data, {} if stored is None else {"outputs": stored})


def _outputs(bench: Bench, names: list[str]) -> bytes | None:
    """Outputs of all samples by sample index, None if they are too large to keep."""
    n = bench.evaluation.n_samples
    kept: dict[str, np.ndarray[Any, Any]] = {}
    found = runs(bench.loaded.user_session, bench.evaluation, bench.loaded.feeding, np.arange(n), names)
    for indices, values in found:
        if not kept:
            if n * sum(value[0].nbytes for value in values.values()) > MAX_STORED_BYTES:
                return None
            kept = {name: np.empty((n, *value.shape[1:]), value.dtype) for name, value in values.items()}
        for name, value in values.items():
            kept[name][indices] = value
    return save_arrays(kept)
