"""``bitbudget calibrate-cost``: coefficients of a target's cost model from measurements, with their error."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated, Any

import typer

from search.errors import UsageError
from search.spec.job import Target as TargetSpec
from search.spec.resolve import resolve_target
from search.targets.fitting.fit import assumed_share, fit_rates
from search.targets.fitting.rates import with_rates
from search.targets.fitting.sufficient import check_sufficient, distinct
from search.targets.fitting.user_target import target_toml
from search.targets.fitting.validation import summary, validate
from search.targets.target import Target, load_target, target_names
from service.local.measurements import Taken, read_all


def calibrate_cost(  # noqa: PLR0917  one parameter per option
    target: Annotated[str, typer.Argument(help="Built-in target or TOML file whose cost is fitted.")],
    measurements: Annotated[
        list[Path], typer.Option(help="hbm_perf JSON, hrt_model_exec log, CSV, or measure-cost file; repeatable.")
    ],
    result: Annotated[
        list[Path] | None, typer.Option(help="Output directory of the search a report is about, in order; repeatable.")
    ] = None,
    model: Annotated[
        list[Path] | None, typer.Option(help="ONNX file whose uniform assignments a CSV names; repeatable.")
    ] = None,
    toolchain: Annotated[str | None, typer.Option(help="Version of the vendor's tools.")] = None,
    out: Annotated[Path | None, typer.Option(help="Target file to write (TOML).")] = None,
    name: Annotated[str | None, typer.Option(help="Name of the new target.")] = None,
    seed: Annotated[int, typer.Option(help="Of the cut into folds and the bootstrap.")] = 0,
    force: Annotated[bool, typer.Option(help="Overwrite --out.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Fit the cost model of a target to measured times, and say how wrong it is."""
    _check_out(out, force=force)
    resolved = resolve_target(TargetSpec(name=target, toolchain=toolchain))
    chip = load_target(resolved.name, toolchain=resolved.toolchain)
    taken = read_all(chip, measurements, results=result or (), models=model or ())
    measured = distinct(taken.measured)
    check_sufficient(chip, measured)
    fit = summary(validate(chip, measured, seed=seed), seed=seed, measured_on=taken.measured_on)
    found = fit_rates(chip, measured)
    document: dict[str, Any] = {
        **fit.model_dump(mode="json"),
        "noise_floor": taken.noise_floor,
        "coefficients": len(found),
        "coefficients_measured": sum(one.is_measured for one in found.values()),
        "assumed_share": round(assumed_share(with_rates(chip, found), measured), 4),
        "out": None if out is None else str(out),
    }
    if out is not None:
        text = target_toml(chip, _extends(target, out), name or f"{chip.name}-fitted", found, fit)
        _write(out, text)
    typer.echo(json.dumps(document, indent=1) if as_json else _told(chip, taken, document))


def _told(chip: Target, taken: Taken, found: dict[str, Any]) -> str:
    low, high = found["mape_interval"]
    lines = [
        f"{chip.name}: {found['measurements']} different assignments of {found['models']} models, "
        f"{len(taken.measured)} measurements" + (f", {taken.measured_on}" if taken.measured_on else ""),
        f"left out of the fit, a fifth at a time: MAPE {found['mape']:.1%} (95 % interval {low:.1%} to {high:.1%}), "
        f"nine in ten within {found['error_90']:.1%}",
        "order within a model: Kendall tau {kendall_tau:.3f} ({0:.3f} to {1:.3f})".format(
            *found["kendall_tau_interval"], **found
        ),
    ]
    if found["mape_other_models"] is not None:
        lines.append(f"whole models left out of the fit: MAPE {found['mape_other_models']:.1%}")
    if found["noise_floor"] is not None:
        lines.append(f"noise floor of the measurements: {found['noise_floor']:.1%}")
    lines.append(
        f"coefficients: {found['coefficients_measured']} of {found['coefficients']} held by the measurements; "
        f"{found['assumed_share']:.1%} of the time rests on assumed ones"
    )
    lines.append("nothing written: no --out" if found["out"] is None else f"written: {found['out']}")
    return "\n".join(lines)


def _extends(target: str, out: Path) -> str:
    """How the new file names the old one."""
    return target if target in target_names() else os.path.relpath(target, out.parent)


def _check_out(out: Path | None, *, force: bool) -> None:
    if out is None:
        return
    if out.suffix != ".toml" or not out.parent.is_dir():
        raise UsageError(f"--out {str(out)!r} must be a .toml file in a directory that exists.")
    if out.exists() and not force:
        raise UsageError(f"--out {str(out)!r} exists. Give --force to overwrite it.")


def _write(out: Path, text: str) -> None:
    try:
        out.write_text(text)
    except OSError as error:
        raise UsageError(f"--out {str(out)!r} cannot be written: {error.strerror}.") from None
