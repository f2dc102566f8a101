"""What the integer simulator costs: ``python -m benchmarks.simulator [--cases DIR] [--only NAME ...] [--write FILE]``.

For the example and every case folder: CPU time per sample of the fast integer way as a multiple of plain float ONNX
Runtime (default optimization, same batch, one thread), everything in one precision; and how many times slower the
NumPy reference is. Ways are run in turns, the fastest pass of each counts. Goals on convolutional nets: at most 3, 5
and 9 times float for a8w8, a16w8 and a16w16, and at least 20 times faster than the reference.
"""

from __future__ import annotations

import argparse
import datetime
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.cases import job_of
from benchmarks.evaluator import prepared_bench
from search.assignment import Assignment
from search.evaluation.configuration import Calibration, Configuration, Treatment
from search.graph.network import Network
from search.precision import Precision
from search.runtime.session import versions
from search.simulator.fast.session import IntegerSession
from search.simulator.making.infeasible import Infeasible
from search.simulator.program import Program
from search.simulator.reference.run import Reference
from search.targets.legalise import legalise
from search.targets.pins import resolve_pins
from search.targets.target import Target
from search.work.item_runner import ItemRunner
from service.local.store import RunStore
from service.machine import processor

EXAMPLE = Path(__file__).parents[1] / "examples/digits"
TARGET = {"name": "j6m", "toolchain": "3.5.0"}  # the first that has a16w16
PRECISIONS = {
    "a8w8": (Precision.A8W8, Precision.INT8),
    "a16w8": (Precision.A16W8, Precision.INT16),
    "a16w16": (Precision.A16W16, Precision.INT16),
}
HEAD = ("model", "batch", "float ms", *PRECISIONS, *(f"reference, {name}" for name in PRECISIONS))
FLOAT = "float"
Work = Callable[[], object]


@dataclass(frozen=True)
class Row:
    """One model: milliseconds per sample of every way."""

    name: str
    batch: int
    milliseconds: Mapping[str, float]

    def cells(self) -> Iterator[str]:
        """As shown."""
        plain = self.milliseconds[FLOAT]
        yield from (self.name, str(self.batch), f"{plain:.4f}")
        for name in PRECISIONS:
            yield f"{self.milliseconds[name] / plain:.2f}" if name in self.milliseconds else "-"
        for name in PRECISIONS:
            known = name in self.milliseconds
            yield f"{self.milliseconds[f'reference {name}'] / self.milliseconds[name]:.0f}" if known else "-"


def uniform(network: Network, target: Target, gemm: Precision, other: Precision) -> Assignment:
    """Everything in one precision, as far as the chip has it."""
    wanted = Assignment(tuple(gemm if group.is_gemm else other for group in network.groups))
    return legalise(network, target, wanted, pins=resolve_pins(network, target, ())).effective


def programs(runner: ItemRunner, calibration: Calibration) -> dict[str, Program]:
    """The program of each precision; one that the chip cannot run is left out."""
    network, target, found = runner.loaded.structure.network, runner.problem.target, {}
    for name, (gemm, other) in PRECISIONS.items():
        effective = uniform(network, target, gemm, other)
        try:
            found[name] = runner.program(Configuration(effective, calibration, Treatment()))
        except Infeasible as error:
            print(f"{name}: {error}")
    return found


def fastest(ways: Mapping[str, Work], rounds: int) -> dict[str, float]:
    """CPU seconds of the fastest pass of each way, taken in turns: a busy machine then hits all alike."""
    seconds = dict.fromkeys(ways, float("inf"))
    for _ in range(rounds):
        for name, work in ways.items():
            start = time.thread_time()
            work()
            seconds[name] = min(seconds[name], time.thread_time() - start)
    return seconds


def measured(name: str, job: dict[str, Any], rounds: int) -> Row:
    """Time one model."""
    with tempfile.TemporaryDirectory() as folder:
        runner, calibration = prepared_bench({**job, "target": TARGET}, RunStore(Path(folder)))
        feeding = runner.loaded.feeding
        feeds = dict(runner.evaluation.batch(np.arange(feeding.batch)))
        some = feeds if feeding.fixed else {key: array[:4] for key, array in feeds.items()}
        n_some = feeding.batch if feeding.fixed else 4
        made = programs(runner, calibration)
        ways: dict[str, Work] = {FLOAT: lambda: runner.loaded.user_session.run(feeds)}
        slow: dict[str, Work] = {}
        for precision, program in made.items():
            session, reference = IntegerSession(program), Reference(program)
            ways[precision] = lambda session=session: session.run(feeds)  # type: ignore[misc]
            slow[f"reference {precision}"] = lambda reference=reference: reference.run(some)  # type: ignore[misc]
        times = {key: 1e3 * value / feeding.batch for key, value in fastest(ways, rounds).items()}
        times |= {key: 1e3 * value / n_some for key, value in fastest(slow, 2).items()}
    return Row(name, feeding.batch, times)


def page(rows: Sequence[Row]) -> list[str]:
    """The table and how it came about."""
    libraries = ", ".join(f"{name} {version}" for name, version in versions().items())
    table = [HEAD, tuple("---" for _ in HEAD), *(tuple(row.cells()) for row in rows)]
    return [
        "# Benchmark of the integer simulator",
        "",
        f"{datetime.date.today().isoformat()}, {processor()}, {libraries}. One thread, CPU time.",
        "",
        "a8w8, a16w8, a16w16: the fast way as a multiple of float ONNX Runtime on the same batch, all groups in this",
        f"precision as far as {TARGET['name']} (toolchain {TARGET['toolchain']}) has it. Last columns: how many times",
        "slower the NumPy reference is. Goals on convolutional nets: 3, 5 and 9 at most, and 20 at least.",
        "",
        *("| " + " | ".join(cells) + " |" for cells in table),
    ]


def main() -> None:
    """Print the table, and write it where asked to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--cases", type=Path)
    parser.add_argument("--only", nargs="*", default=())
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--write", type=Path)
    options = parser.parse_args()
    jobs: dict[str, dict[str, Any]] = {
        "examples/digits": {
            "schema": "bitbudget.job/1",
            "model": str(EXAMPLE / "digits.onnx"),
            "data": {
                "calibration": str(EXAMPLE / "calibration.npz"),
                "evaluation": str(EXAMPLE / "evaluation.npz"),
            },
        }
    }
    if options.cases:
        folders = sorted(path.parent for path in options.cases.glob("*/case.json"))
        jobs |= {folder.name: job_of(folder, TARGET["name"]) for folder in folders}
    rows = []
    for name, job in jobs.items():
        if not options.only or name in options.only:
            rows.append(measured(name, job, options.rounds))
            print("  ".join(f"{title} {cell}" for title, cell in zip(HEAD, rows[-1].cells(), strict=True)), flush=True)
    if options.write:
        options.write.write_text("\n".join(page(rows)) + "\n")


if __name__ == "__main__":
    main()
