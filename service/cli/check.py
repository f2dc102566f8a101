"""``bitbudget check``: what a search would see, without searching."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from search.errors import UsageError
from search.spec.job import Target as TargetSpec
from search.spec.resolve import resolve_target
from search.spec.shape_text import parse_shapes
from search.targets.target import load_target

if TYPE_CHECKING:
    from service.local.inspection import Inspection


def check(  # noqa: PLR0917  one parameter per option
    model: Annotated[Path, typer.Argument(help="ONNX file.")],
    target: Annotated[str, typer.Option(help="Chip whose rules are laid over the groups.")] = "j6m",
    toolchain: Annotated[str | None, typer.Option(help="Version of the vendor's tools.")] = None,
    shape: Annotated[
        list[str] | None,
        typer.Option(help="NAME=1x3x640x640: sizes of an input that leaves them open; repeatable."),
    ] = None,
    overrides: Annotated[Path | None, typer.Option(help="Tensor overrides (JSON) to complete and print.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Read a model and show its groups, its findings and what the chip allows."""
    if not model.exists():
        raise UsageError(f"The model {str(model)!r} does not exist. Check the path.")
    resolved = resolve_target(TargetSpec(name=target, toolchain=toolchain))
    chip = load_target(resolved.name, toolchain=resolved.toolchain)
    typer.echo(f"reading {model}", err=True)
    from service.local.inspection import inspect_model  # noqa: PLC0415  the line above is out before this is loaded

    found = inspect_model(model, chip, parse_shapes(shape or ()))
    document = found.to_json()
    if overrides is not None:
        document["overrides"] = _completed(found, overrides)
    if as_json:
        typer.echo(json.dumps(document, indent=1))
        return
    if overrides is not None:
        typer.echo(json.dumps(document["overrides"], indent=1))
        return
    _show(found)


def _completed(found: Inspection, path: Path) -> dict[str, Any]:
    try:
        text = path.read_text()
    except OSError as error:
        raise UsageError(f"The overrides file {str(path)!r} cannot be read: {error.strerror}.") from None
    from search.export.override_completion import Wiring, complete_overrides  # noqa: PLC0415
    from search.export.overrides_input import parse_overrides  # noqa: PLC0415

    graph = found.loaded.template.model.graph
    constants = set(found.loaded.template.initializers)
    producers: dict[str, str | None] = {value.name: None for value in graph.input}
    consumers: dict[str, list[str]] = {}
    for node in graph.node:
        producers.update(dict.fromkeys(node.output, node.name))
        for name in node.input:
            if name and name not in constants:
                consumers.setdefault(name, []).append(node.name)
    wiring = Wiring(producers, {name: tuple(nodes) for name, nodes in consumers.items()}, constants)
    return complete_overrides(wiring, parse_overrides(text), default="QUInt8")


def _inputs(found: Inspection) -> Table:
    from search.data.inputs import shape_text  # noqa: PLC0415  loads numpy

    table = Table(box=None, pad_edge=False)
    for name in ("input", "type", "shape", "samples"):
        table.add_column(name, overflow="fold")
    for one in found.inputs:
        where = "one per run" if one.axis is None else f"on axis {one.axis}"
        table.add_row(one.name, one.dtype, shape_text(one.shape), where)
    return table


def _show(found: Inspection) -> None:
    console = Console(highlight=False)
    console.print(_inputs(found))
    console.print(f"data: {found.savez}\n", markup=False, soft_wrap=True)
    table = Table(box=None, pad_edge=False)
    for name in ("group", "operator", "name", "nodes", "compute", "precisions"):
        table.add_column(name, justify="right" if name in ("nodes", "compute") else "left", overflow="fold")
    total = found.network.total_macs or 1
    for g, (group, choices) in enumerate(zip(found.network.groups, found.choices, strict=True)):
        names = " ".join(precision.value for precision in choices)
        table.add_row(f"g{g}", group.op_type, group.name, str(len(group.nodes)), f"{group.macs / total:.1%}", names)
    console.print(table)
    for finding in found.findings:
        console.print(f"{finding.severity}: {finding.message}", markup=False)
