"""``bitbudget``: the command line."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import typer

from search.errors import SearchError
from service.cli.calibrate_cost import calibrate_cost
from service.cli.check import check
from service.cli.exits import Exit, exit_of_error
from service.cli.measure_cost import measure_cost
from service.cli.search import search
from service.cli.targets import targets

app = typer.Typer(
    name="bitbudget",
    help="Find the cheapest int8/int16/fp16 assignment of an ONNX network that meets its accuracy goal.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command()(search)
app.command()(check)
app.command()(targets)
app.command()(calibrate_cost)
app.command()(measure_cost)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and leave with its exit code.

    Args:
        arguments: What follows the program's name; those of the process by default.
    """
    try:
        code = app(None if arguments is None else list(arguments), standalone_mode=False)
    except SearchError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        sys.exit(exit_of_error(error))
    except typer.Exit as end:
        sys.exit(end.exit_code)
    except typer.Abort:
        sys.exit(Exit.INTERRUPTED)
    except Exception as error:  # noqa: BLE001  the edge: a click usage error, or a bug of ours
        sys.exit(_unexpected(error))
    sys.exit(code if isinstance(code, int) else Exit.MET)


def _unexpected(error: Exception) -> int:
    show = getattr(error, "show", None)
    if show is not None:  # a usage error of the option parser prints itself
        show()
        return int(getattr(error, "exit_code", Exit.USAGE))
    print(f"failed: {type(error).__name__}: {error}. This is a fault of bitbudget.", file=sys.stderr)  # noqa: T201
    return int(Exit.FAILED)
