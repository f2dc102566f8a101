"""``bitbudget targets``: the chips it knows."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from search.targets.target import load_target, target_names


def targets(as_json: Annotated[bool, typer.Option("--json", help="Print the whole files as JSON.")] = False) -> None:
    """List the targets, one line each."""
    found = [load_target(name, toolchain=None) for name in target_names()]
    if as_json:
        typer.echo(json.dumps({target.name: target.to_json() for target in found}, indent=1))
        return
    width = max(len(target.name) for target in found)
    for target in found:
        typer.echo(f"{target.name:<{width}}  {target.title}")
