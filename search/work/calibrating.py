"""``collect``: histograms in one pass; ``calibrate``: every method's ranges; ``compare``: methods against each other.

The pass knows no target and no method, so targets share it; ranges follow from the histograms alone. Where a search is
over sample counts, ``calibrate`` also derives the ranges of every count. The samples then come in the seeded order of
the study, so that each count is a prefix of one order, and no sample is run twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from search.calibration.collect import Collected, collect
from search.calibration.grids import exact_ends, integer_grid
from search.calibration.ranges import Ranges, derive_ranges
from search.canonical import digest_bytes
from search.data.order import Subset, sample_order
from search.data.source import SampleSource
from search.errors import InvalidDataError
from search.evaluation.configuration import Configuration
from search.evaluation.measure import runs
from search.metrics.output_error import ERROR_NAMES, output_errors
from search.precision import Format
from search.quant.grid import ScaleRule
from search.runtime.session import Session
from search.work.fixing import input_tensors
from search.work.item_runner import ItemRunner, Raw, load_arrays, save_arrays


def run_collect(runner: ItemRunner, params: Mapping[str, Any]) -> Raw:
    """Run the float model on ``samples`` calibration samples and keep every tensor's histograms, stretch by stretch."""
    loaded = runner.loaded
    collected = collect(
        loaded.template.model,
        loaded.structure.network,
        calibration_samples(runner, params.get("order_seed")),
        n_samples=params["samples"],
        feeding=loaded.feeding,
        threads=runner.problem.threads,
        bounds=params.get("sizes"),
    )
    data = {"bounds": list(collected.bounds), "integral": [bool(one) for one in collected.integral]}
    return Raw(data, {"histograms": save_arrays(collected.to_arrays())})


def run_calibrate(runner: ItemRunner, params: Mapping[str, Any]) -> Raw:
    """Derive the ranges of ``methods`` (pairs of name and bits) for ``samples`` samples; no sample is run."""
    network = runner.loaded.structure.network
    arrays = load_arrays(runner.files.get(params["histograms"]))
    collected = Collected.from_arrays(arrays, bounds=params["bounds"], integral=params["integral"])
    histograms = collected.at(params["samples"])
    wanted = [(method, bits) for method, bits in params["methods"]]
    rule = ScaleRule(params["rule"])
    ranges = derive_ranges(histograms, wanted, rule=rule, integral=collected.integral, lowest=collected.masked)
    ranges = replace(ranges, masks=collected.masks)
    for tensor, fixed in runner.fixed.items():
        if fixed.exact:
            exact_ends(network, ranges, tensor)
    data = {
        "samples": params["samples"],
        "failed": [[method, bits] for method, bits in wanted if ranges.failed(method, bits)],
        "extremes": [[_short(low), _short(high)] for low, high in ranges.extremes],
        "nonfinite": [int(t) for t in np.flatnonzero(ranges.nonfinite)],
    }
    blobs = {"ranges": save_arrays(ranges.to_arrays())}
    if "sizes" in params:
        data["whole_inputs"] = _whole_inputs(runner, ranges)
        data["sizes"] = []
        for size in params["sizes"]:
            prefix = _prefix(collected, size, ranges, rule=ScaleRule(params["rule"]))
            blobs[f"ranges:{size}"] = save_arrays(prefix.to_arrays())
            data["sizes"].append({"samples": size, "methods": _described(prefix)})
    return Raw(data, blobs)


def calibration_samples(runner: ItemRunner, seed: int | None) -> SampleSource:
    """Calibration samples as they lie, or in the seeded order."""
    source = runner.calibration
    return source if seed is None else Subset(source, sample_order(source.n_samples, seed=seed))


def _prefix(collected: Collected, size: int, whole: Ranges, *, rule: ScaleRule) -> Ranges:
    """Ranges of the first ``size`` samples; what is not a method's choice stays that of the whole set."""
    ranges = derive_ranges(collected.at(size), list(whole.by_method), rule=rule)
    return replace(whole, by_method=ranges.by_method)


def _described(ranges: Ranges) -> dict[str, str | None]:
    """8-bit method to a digest of its ranges, so that equal ones are evaluated once; None where it failed."""
    return {
        method: None if ranges.failed(method, bits) else digest_bytes(np.ascontiguousarray(found).tobytes())
        for (method, bits), found in ranges.by_method.items()
        if bits == 8
    }


def _whole_inputs(runner: ItemRunner, ranges: Ranges) -> list[list[Any]]:
    """Float inputs with their tensors that held whole numbers in 0..255 or -128..127 and that nobody decided on."""
    network = runner.loaded.structure.network
    decided = {*runner.fixed, *(tensor for tensor, _ in runner.stated.scales)}
    found: list[list[Any]] = []
    for value in runner.loaded.user.inputs:
        tensors = input_tensors(runner.loaded, value.name)
        free = value.name not in runner.problem.spec.inputs and not decided.intersection(tensors)
        integers = any(network.tensors[t].integer_input is not None for t in tensors)  # kept exact in any case
        if tensors and free and not integers and all(_is_whole(ranges, t) for t in tensors):
            found.append([value.name, list(tensors)])
    return found


def _is_whole(ranges: Ranges, tensor: int) -> bool:
    """Whether 8 bit hold every value seen exactly."""
    low, high = ranges.extremes[tensor]
    if not (ranges.integral[tensor] and np.isfinite(low) and np.isfinite(high)):
        return False
    return integer_grid((int(low), int(high)), Format.INT8) is not None


def run_compare(runner: ItemRunner, params: Mapping[str, Any]) -> Raw:
    """Mean output errors of one configuration on a range of the order; ``failed`` if it cannot be built."""
    configuration = Configuration.from_json(params["configuration"])
    start, stop = params["range"]
    indices = runner.order[start:stop]
    try:
        model = runner.qdq(configuration).model
    except InvalidDataError as error:
        return Raw({"failed": str(error), "errors": {}})
    session = Session(model, level=runner.level, threads=runner.problem.threads)
    sums: dict[str, dict[str, float]] = {}
    names = params["outputs"]
    for batch, values in runs(session, runner.evaluation, runner.loaded.feeding, indices, names):
        exact = runner.float_outputs(params["float"], batch, names)
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
