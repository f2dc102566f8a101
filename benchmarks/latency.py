"""How well the fitted ``ort-cpu`` cost model predicts times of this machine.

``python -m benchmarks.latency [--cases DIR] [--write benchmarks/latency.md]`` measures mixed assignments of random
networks (and of every ``DIR/*/model.onnx``), fits the coefficients, and prints the error on assignments and on whole
models that were left out. Goal: MAPE at most 15 % and Kendall's tau at least 0.8 on assignments not fitted.
"""

from __future__ import annotations

import argparse
import datetime
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy.stats import kendalltau

from benchmarks.cost import rates
from benchmarks.latency_models import write_models
from search.errors import SearchError
from search.runtime.session import versions
from search.targets.fitting.fit import assumed_share, fit_rates, predict
from search.targets.fitting.measured import Measured
from search.targets.fitting.rates import with_rates
from search.targets.fitting.sufficient import check_sufficient
from search.targets.fitting.validation import Validation, relative_errors, summary, validate
from search.targets.target import Target, load_target
from service.local.deployed import Measuring, ModelTimes, measure_model
from service.machine import processor

HEAD = ("model", "assignments", "batch", "ms a run", "noise floor", "MAPE", "tau", "MAPE, model left out", "tau")
GOAL_MAPE, GOAL_TAU = 0.15, 0.8
COMMAND = "python -m benchmarks.latency --write benchmarks/latency.md"


def measure_all(paths: Sequence[tuple[str, Path]], target: Target, how: Measuring) -> dict[str, ModelTimes]:
    """Times of every model that can be measured."""
    found = {}
    for name, path in paths:
        try:
            found[name] = measure_model(path, target, how, name=name)
        except SearchError as error:
            print(f"{name}: left out: {error}", flush=True)
            continue
        print(f"{name}: noise floor {found[name].noise:.1%}", flush=True)
    return found


def quick(times: ModelTimes, least: float) -> bool:
    """Whether some assignment runs for less than ``least`` seconds a batch."""
    return min(one.microseconds for one in times.measured) < 0.9e6 * least


def report(found: dict[str, ModelTimes], target: Target, seed: int) -> list[str]:
    """The page, from the measurements."""
    measured = [one for times in found.values() for one in times.measured]
    check_sufficient(target, measured)
    validation = validate(target, measured, seed=seed)
    fit = summary(validation, seed=seed, measured_on="")
    share = assumed_share(with_rates(target, fit_rates(target, measured)), measured)
    low, high = fit.mape_interval
    low_tau, high_tau = fit.kendall_tau_interval
    met = fit.mape <= GOAL_MAPE and fit.kendall_tau >= GOAL_TAU
    others = validation.other_models
    lines = [
        "| | MAPE | Kendall tau |",
        "|---|---|---|",
        f"| goal, assignments not fitted | at most {GOAL_MAPE:.0%} | at least {GOAL_TAU} |",
        f"| **assignments not fitted** ({'met' if met else 'NOT met'}) | **{fit.mape:.1%}** ({low:.1%} to {high:.1%}) "
        f"| **{fit.kendall_tau:.3f}** ({low_tau:.3f} to {high_tau:.3f}) |",
    ]
    if others is not None:
        error = relative_errors(others, validation.measured).mean()
        lines.append(f"| models not fitted | {error:.1%} | {_mean_tau(validation, others):.3f} |")
    built_in = _scaled(target, measured)
    error = relative_errors(built_in, validation.measured).mean()
    lines.append(f"| built-in coefficients, one common factor | {error:.1%} | {_mean_tau(validation, built_in):.3f} |")
    lines += [
        "",
        f"{fit.measurements} assignments of {fit.models} models. Nine in ten predictions of assignments not fitted are "
        f"within {fit.error_90:.1%}. Largest noise floor {max(t.noise for t in found.values()):.1%}. "
        f"{share:.1%} of the predicted time rests on assumed coefficients.",
        "",
        _row(HEAD),
        "|" + "---|" * len(HEAD),
        *(_row(_model_row(name, times, validation)) for name, times in found.items()),
    ]
    return lines


def _model_row(name: str, times: ModelTimes, validation: Validation) -> list[str]:
    own = validation.models == name
    real = validation.measured[own]
    row = [name, str(len(real)), str(times.measured[0].samples)]
    row += [f"{real.min() / 1000:.1f} to {real.max() / 1000:.1f}", f"{times.noise:.1%}"]
    for predicted in (validation.left_out, validation.other_models):
        if predicted is None:
            row += ["-", "-"]
        else:
            row += [f"{relative_errors(predicted[own], real).mean():.1%}", f"{_tau(predicted[own], real):.2f}"]
    return row


def _mean_tau(validation: Validation, predicted: np.ndarray) -> float:
    models = [validation.models == name for name in dict.fromkeys(validation.models.tolist())]
    return float(np.mean([_tau(predicted[own], validation.measured[own]) for own in models]))


def _tau(predicted: np.ndarray, real: np.ndarray) -> float:
    return float(kendalltau(predicted, real).statistic)


def _scaled(target: Target, measured: Sequence[Measured]) -> np.ndarray:
    """The target's own prediction times the factor that meets the median."""
    own = predict(target, measured)
    return own * np.median(np.array([one.microseconds for one in measured]) / own)


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=Path, help="folders with a model.onnx each, measured too")
    parser.add_argument("--assignments", type=int, default=14)
    parser.add_argument("--repeats", type=int, default=21)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="*", help="names of models")
    parser.add_argument("--write", type=Path, help="Markdown file to write")
    options = parser.parse_args()
    target = load_target("ort-cpu", toolchain=None)
    how = Measuring(assignments=options.assignments, rounds=options.repeats, seed=options.seed)
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        paths = [(path.stem, path) for path in write_models(Path(folder), seed=options.seed)]
        if options.cases:
            paths += [(path.parent.name, path) for path in sorted(options.cases.glob("*/model.onnx"))]
        paths = [(name, path) for name, path in paths if not options.only or name in options.only]
        found = measure_all(paths, target, how)
    seconds = time.perf_counter() - began
    for name in [name for name, times in found.items() if quick(times, how.min_seconds)]:
        print(f"{name}: left out: less than {1000 * how.min_seconds:.0f} ms a run even at the largest batch")
        del found[name]
    lines = [
        "# Latency",
        "",
        f"{datetime.date.today().isoformat()}, {processor()}, Linux, one thread, "
        f"ONNX Runtime {versions()['onnxruntime']}; {seconds:.0f} s of measuring; `{COMMAND}`.",
        "",
        "Networks with random weights (`benchmarks/latency_models.py`), at least 5 ms a batch; uniform assignments and",
        "random mixes of int8, int16 and fp32; medians of interleaved runs, processor time of one thread. Tau is the",
        "mean over models. Predicted is what the fit had not seen: a fifth of the assignments at a time, or a",
        "whole model.",
        "",
        *report(found, target, options.seed),
        "",
        "Estimates per second on one core, 50 groups (`python -m benchmarks.cost --groups 50`): "
        + ", ".join(f"{name} {rate:,.0f}" for name, rate in rates(50, 200_000).items())
        + ". Goal: 1,000,000.",
    ]
    text = "\n".join(lines) + "\n"
    print(text)
    if options.write:
        options.write.write_text(text)


if __name__ == "__main__":
    main()
