"""``calibrate``: histograms in one pass and every method's ranges; ``compare``: methods against each other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from search.calibration.collect import collect
from search.calibration.grids import exact_ends
from search.calibration.ranges import derive_ranges
from search.errors import InvalidDataError
from search.evaluation.configuration import Configuration
from search.evaluation.measure import runs
from search.metrics.output_error import ERROR_NAMES, output_errors
from search.quant.grid import ScaleRule
from search.runtime.session import Session
from search.study.bench import Bench, Raw, save_arrays


def run_calibrate(bench: Bench, params: Mapping[str, Any]) -> Raw:
    """Collect histograms and derive the ranges of ``methods`` (pairs of name and bits) for ``samples`` samples."""
    loaded = bench.loaded
    network = loaded.structure.network
    collected = collect(
        loaded.template.model,
        network,
        bench.calibration,
        n_samples=params["samples"],
        feeding=loaded.feeding,
        threads=bench.problem.threads,
    )
    histograms = collected.at(params["samples"])
    wanted = [(method, bits) for method, bits in params["methods"]]
    ranges = derive_ranges(histograms, wanted, rule=ScaleRule(params["rule"]), integral=collected.integral)
    for tensor, fixed in bench.fixed.items():
        if fixed.exact:
            exact_ends(network, ranges, tensor)
    data = {
        "samples": params["samples"],
        "failed": [[method, bits] for method, bits in wanted if ranges.failed(method, bits)],
        "extremes": [[_short(low), _short(high)] for low, high in ranges.extremes],
        "nonfinite": [int(t) for t in np.flatnonzero(ranges.nonfinite)],
    }
    stored = {
        f"{t}/{p}/{name}": array
        for p, part in enumerate(collected.parts)
        for t, histogram in enumerate(part)
        for name, array in histogram.to_arrays().items()
    }
    return Raw(data, {"ranges": save_arrays(ranges.to_arrays()), "histograms": save_arrays(stored)})


def run_compare(bench: Bench, params: Mapping[str, Any]) -> Raw:
    """Mean output errors of one configuration on the first samples of the order; ``failed`` if it cannot be built."""
    configuration = Configuration.from_json(params["configuration"])
    indices = bench.order[: params["samples"]]
    try:
        model = bench.qdq(configuration).model
    except InvalidDataError as error:
        return Raw({"failed": str(error), "errors": {}})
    session = Session(model, level=bench.level, threads=bench.problem.threads)
    sums: dict[str, dict[str, float]] = {}
    names = params["outputs"]
    for batch, values in runs(session, bench.evaluation, bench.loaded.feeding, indices, names):
        exact = bench.float_outputs(params["float"], batch, names)
        for name in names:
            errors = output_errors(values[name], exact[name])
            found = sums.setdefault(name, dict.fromkeys(ERROR_NAMES, 0.0))
            for key in ERROR_NAMES:
                found[key] += float(np.sum(errors[key], dtype=np.float64))
    means = {name: {key: total / len(indices) for key, total in found.items()} for name, found in sums.items()}
    return Raw({"failed": None, "errors": means})


def _short(value: float) -> float | None:
    """The float32 nearest to ``value`` as a short decimal; None for NaN."""
    return float(str(np.float32(value))) if np.isfinite(value) else None
