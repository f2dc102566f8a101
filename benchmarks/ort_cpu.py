"""Does anybody do better on this machine with one line of ONNX Runtime's own quantizer?

``python -m benchmarks.ort_cpu --cases DIR [--only NAME ...] [--write benchmarks/ort_cpu.md]`` searches every network on
``ort-cpu`` and lays beside the answer: the float model, ``quantize_static`` (uint8 activations, int8 weights per
channel, with 8 and with 7 bits of weight) and ``quantize_dynamic``. All models are timed interleaved in one process,
one thread, all optimizations, with 1 and 64 samples in a run, and judged by the goals of the search on the same data.
"""

from __future__ import annotations

import argparse
import logging
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from onnxruntime.quantization import (  # type: ignore[import-untyped]
    CalibrationDataReader,
    QuantType,
    quantize_dynamic,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process  # type: ignore[import-untyped]

import bitbudget
from benchmarks.cases import job_of, markdown
from benchmarks.figures import circumstances
from benchmarks.ort_cpu_nets import NETS, write_net
from search.data.fed import Fed
from search.data.open import open_stored
from search.errors import SearchError
from search.evaluation.measure import Use, measure, outputs_of
from search.graph.load import read_model
from search.metrics.goal_check import meets
from search.metrics.registry import make_metric
from search.runtime.arranging import arrange, read
from search.runtime.feeding import Feeding
from search.runtime.session import Level, Session
from search.runtime.stopwatch import interleave, steady
from search.spec.job import Preprocess
from search.work.loaded import inputs_of

Array = npt.NDArray[Any]
N_CALIBRATION = 64
ROUNDS = 15
BATCHES = (1, 64)
FLOOR = 0.03  # relative: closer times are equal
MODELS = ("static", "static 7 bit", "dynamic", "ours")
HEAD = ("network", "batch", "float ms", *MODELS, "noise", "ours quantizes", "verdict")


@dataclass(frozen=True, eq=False)
class Data:
    """The evaluation and calibration samples of a job as the model takes them."""

    evaluation: Fed
    calibration: Fed
    feeding: Feeding
    plain: Session


class Reader(CalibrationDataReader):  # type: ignore[misc]
    """Calibration samples one by one."""

    def __init__(self, data: Data) -> None:
        samples, batch = data.calibration, data.feeding.batch if data.feeding.fixed else 1
        count = min(N_CALIBRATION, samples.n_samples)
        self._feeds = iter(
            {name: feeds[name] for name in data.plain.inputs}
            for start in range(0, count, batch)
            for feeds in [samples.batch(np.resize(np.arange(start, min(count, start + batch)), batch))]
        )

    def get_next(self) -> dict[str, Array] | None:
        """The next sample."""
        return next(self._feeds, None)


def open_data(job: Mapping[str, Any]) -> Data:
    """Read what a job names."""
    model = read_model(Path(job["model"]))
    inputs, data = inputs_of(model), job["data"]
    preprocess = Preprocess.model_validate(data["preprocess"]) if "preprocess" in data else None
    stored = [open_stored(Path(data[role]), inputs, preprocess) for role in ("evaluation", "calibration")]
    session = Session(model.proto, level=Level.DEPLOYED)
    arrangement = arrange(session, inputs, stored)
    evaluation, calibration = (read(one, inputs, arrangement, {}) for one in stored)
    return Data(evaluation, calibration, arrangement.feeding, session)


def contenders(job: Mapping[str, Any], data: Data, folder: Path) -> dict[str, Path]:
    """What ONNX Runtime's own quantizer makes of a model; what it refuses is left out."""
    prepared = folder / "prepared.onnx"
    quant_pre_process(job["model"], prepared, skip_symbolic_shape=True)
    shared = {"per_channel": True, "weight_type": QuantType.QInt8}
    static = partial(quantize_static, activation_type=QuantType.QUInt8, **shared)
    makers: dict[str, Callable[[Path], object]] = {
        "static": lambda path: static(prepared, path, Reader(data)),
        "static 7 bit": lambda path: static(prepared, path, Reader(data), reduce_range=True),
        "dynamic": lambda path: quantize_dynamic(prepared, path, reduce_range=True, **shared),
    }
    found = {}
    for name, make in makers.items():
        path = folder / f"{name.replace(' ', '_')}.onnx"
        try:
            make(path)
            Session(path.read_bytes(), level=Level.DEPLOYED)
        except (SearchError, ValueError, RuntimeError, KeyError, AttributeError, TypeError) as error:
            print(f"  {name}: {type(error).__name__}: {str(error)[:100]}", flush=True)
            continue
        found[name] = path
    return found


def is_met(result: bitbudget.Result, job: Mapping[str, Any], data: Data, session: Session) -> bool:
    """Whether a model reaches what the search required, on the same samples."""
    labels = {goal["metric"]: goal.get("labels") for goal in job["goal"]}
    uses = [
        Use(id=goal.id, metric=make_metric(goal.name, None), outputs=(goal.output,), labels=labels[goal.name])
        for goal in result.metrics
    ]
    names = [use.output for use in uses]

    def reference(indices: npt.NDArray[np.int64]) -> Mapping[str, Array]:
        return outputs_of(data.plain, data.evaluation, data.feeding, indices, names)

    indices = np.arange(data.evaluation.n_samples)
    try:
        measured = measure(session, data.evaluation, data.feeding, indices, uses=uses, reference=reference)
    except SearchError:
        return False  # it does not run with these samples
    values = {use.id: use.metric.result([measured.parts[use.id]]).value for use in uses}
    return all(meets(values[goal.id], goal.required, goal.direction) for goal in result.metrics)


def times(sessions: Sequence[Session], data: Data, batch: int) -> tuple[Array, float]:
    """Milliseconds per sample, and the noise."""
    feeds = data.evaluation.batch(np.resize(np.arange(data.evaluation.n_samples), batch))
    works = [partial(session.run, {name: feeds[name] for name in session.inputs}) for session in sessions]
    found = steady(interleave(works, rounds=ROUNDS, seed=0, clock=time.process_time))
    return 1e3 * found.seconds / batch, found.noise


def rows_of(name: str, job: Mapping[str, Any], folder: Path) -> Iterator[list[str]]:
    """The lines of one network, one per batch size."""
    data = open_data(job)
    result = bitbudget.search(job=job, out=folder / "out", progress=False)
    paths = {**contenders(job, data, folder), "ours": folder / "out" / "model.qdq.onnx"}
    sessions = {one: Session(path.read_bytes(), level=Level.DEPLOYED) for one, path in paths.items()}
    met = {one: is_met(result, job, data, session) for one, session in sessions.items()}
    for batch in (data.feeding.batch,) if data.feeding.fixed else BATCHES:
        found, noise = times([data.plain, *sessions.values()], data, batch)
        of = dict(zip(sessions, found[1:].tolist(), strict=True))
        yield [
            name,
            str(batch),
            f"{found[0]:.3g}",
            *(_shown(of.get(one), found[0], met.get(one, False)) for one in MODELS),
            f"{noise:.1%}",
            "-" if result.quantized is None else f"{result.quantized.share:.0%}",
            _verdict({"float": float(found[0]), **{one: ms for one, ms in of.items() if met[one]}}, noise),
        ]


def _shown(milliseconds: float | None, plain: float, is_met: bool) -> str:
    """Time over float's; in brackets where the goal is missed."""
    if milliseconds is None:
        return "-"
    text = f"{milliseconds / plain:.2f}"
    return text if is_met else f"({text})"


def _verdict(known: Mapping[str, float], noise: float) -> str:
    """Ours against the best of the others that meets the goal."""
    if "ours" not in known:
        return "not met"
    others = min(ms for one, ms in known.items() if one != "ours")
    floor = 1 + max(FLOOR, noise)
    if known["ours"] > others * floor:
        return "slower"
    return "faster" if known["ours"] * floor < others else "equal"


def main() -> None:
    """Print the table and optionally write it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--cases", type=Path)
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--write", type=Path)
    args = parser.parse_args()
    logging.disable(logging.WARNING)
    where = circumstances(os.getloadavg()[0])
    table = [list(HEAD)]
    with tempfile.TemporaryDirectory() as scratch:
        for name, make in _networks(args.cases, Path(scratch)):
            if args.only and name not in args.only:
                continue
            (Path(scratch) / name).mkdir(exist_ok=True)
            for row in rows_of(name, make(), Path(scratch) / name):
                table.append(row)
                print("  ".join(row), flush=True)
    verdicts = [row[-1] for row in table[1:]]
    told = ", ".join(f"{verdicts.count(one)} {one}" for one in ("faster", "equal", "slower", "not met"))
    text = f"{markdown(table)}\n\nOurs against the best of the others that meets the goal: {told} of {len(verdicts)}."
    print(text)
    if args.write:
        args.write.write_text(
            f"# `ort-cpu` against ONNX Runtime's own quantizer\n\n{where}; {COMMAND}.\n\n{NOTE}\n\n{text}\n"
        )


TITLE = "# `ort-cpu` against ONNX Runtime's own quantizer"
COMMAND = "`python -m benchmarks.ort_cpu --cases DIR --write benchmarks/ort_cpu.md`"
NOTE = """Times are of one sample, as multiples of the float model's, one thread, all optimizations, interleaved in one
process. In brackets: the goal of the search is missed (top-1 at most one point below float; without labels cosine 0.99
and SQNR 30 dB; random weights: cosine 0.99). `ours quantizes` is the share of compute in integers: 0 % is "leave it
float". The search decides with one sample in a run."""


def _networks(cases: Path | None, scratch: Path) -> Iterator[tuple[str, Callable[[], dict[str, Any]]]]:
    """Name and what makes the job: the folders of cases, then our own."""
    for folder in sorted(path.parent for path in cases.resolve().glob("*/case.json")) if cases else ():
        yield folder.name, partial(job_of, folder, "ort-cpu")
    for name in NETS:
        yield name, partial(write_net, scratch / name, name)


if __name__ == "__main__":
    main()
