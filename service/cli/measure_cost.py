"""``bitbudget measure-cost``: how long assignments of models really take on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from search.errors import UsageError
from search.runtime.session import versions
from search.targets.fitting.measured import Measured
from search.targets.fitting.measurement_files import measurements_json
from search.targets.target import load_target
from service.local.deployed import Measuring, measure_model
from service.machine import processor


def measure_cost(  # noqa: PLR0917  one parameter per option
    models: Annotated[list[Path], typer.Argument(help="ONNX files, best several that differ in kind.")],
    out: Annotated[Path, typer.Option(help="File of measurements to write (JSON).")],
    target: Annotated[str, typer.Option(help="What is legal: ort-cpu, or a target file on top of it.")] = "ort-cpu",
    assignments: Annotated[int, typer.Option(min=2, help="Assignments per model.")] = 14,
    repeats: Annotated[int, typer.Option(min=4, help="Interleaved runs of each; more on a noisy machine.")] = 21,
    min_ms: Annotated[float, typer.Option(help="The batch grows until the quickest run takes this long.")] = 5.0,
    threads: Annotated[int, typer.Option(min=1, help="Threads inside operators.")] = 1,
    seed: Annotated[int, typer.Option(help="Of the mixes and the order of runs.")] = 0,
) -> None:
    """Time assignments of models on this machine, for 'bitbudget calibrate-cost'."""
    chip = load_target(target, toolchain=None)
    if not chip.scales.activation.startswith("ort"):
        raise UsageError(
            f"Target {chip.name!r} does not run on this machine. Measure it with the vendor's tools and give their "
            "reports to 'bitbudget calibrate-cost'; only ort-cpu is measured here."
        )
    missing = [path for path in models if not path.is_file()]
    if missing:
        raise UsageError(f"The model {str(missing[0])!r} does not exist. Check the path.")
    if not out.parent.is_dir():
        raise UsageError(f"The directory of {str(out)!r} does not exist.")
    how = Measuring(assignments=assignments, rounds=repeats, min_seconds=min_ms / 1000, threads=threads, seed=seed)
    console = Console(highlight=False, stderr=True)
    measured: list[Measured] = []
    noise: list[float] = []
    for name, path in zip(_names(models), models, strict=True):
        found = measure_model(path, chip, how, name=name)
        measured += found.measured
        noise.append(found.noise)
        times = [one.microseconds / 1000 for one in found.measured]
        console.print(
            f"{name}: {len(times)} assignments, batch {found.measured[0].samples}, "
            f"{min(times):.1f} to {max(times):.1f} ms a run, noise floor {found.noise:.1%}",
            markup=False,
            soft_wrap=True,
        )
    machine = f"{processor()}, {threads} thread(s), ONNX Runtime {versions()['onnxruntime']}"
    text = measurements_json(measured, target=chip.name, measured_on=machine, noise_floor=max(noise))
    try:
        out.write_text(text)
    except OSError as error:
        raise UsageError(f"{str(out)!r} cannot be written: {error.strerror}.") from None
    console.print(f"{len(measured)} measurements in {out}", markup=False, soft_wrap=True)


def _names(models: list[Path]) -> list[str]:
    """Stems, made unique."""
    found: list[str] = []
    for path in models:
        name, n = path.stem, 1
        while name in found:
            n += 1
            name = f"{path.stem}#{n}"
        found.append(name)
    return found
