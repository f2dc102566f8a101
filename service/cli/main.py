"""``bitbudget``: the command line."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import suppress

import typer

from search.errors import SearchError
from service.cli import keys
from service.cli.calibrate_cost import calibrate_cost
from service.cli.cancel import cancel
from service.cli.check import check
from service.cli.doctor import doctor
from service.cli.download import download
from service.cli.exits import Exit, exit_of_client_error, exit_of_error
from service.cli.measure_cost import measure_cost
from service.cli.migrate import migrate
from service.cli.result_file import Ending, named_in, write_ending
from service.cli.search import search
from service.cli.serve import serve
from service.cli.status import status
from service.cli.submit import submit
from service.cli.targets import targets
from service.cli.worker import worker
from service.client.errors import ClientError

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
app.command()(serve)
app.command()(worker)
app.command()(migrate)
app.command()(doctor)
app.add_typer(keys.app, name="keys")
app.command()(submit)
app.command()(status)
app.command()(cancel)
app.command()(download)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and leave with its exit code.

    Args:
        arguments: What follows the program's name; those of the process by default.
    """
    given = sys.argv[1:] if arguments is None else list(arguments)
    try:
        code = app(given, standalone_mode=False)
    except SearchError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        sys.exit(exit_of_error(error))
    except ClientError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        sys.exit(exit_of_client_error(error))
    except typer.Exit as end:
        sys.exit(end.exit_code)
    except typer.Abort:
        sys.exit(Exit.INTERRUPTED)
    except Exception as error:  # noqa: BLE001  the edge: a click usage error, or a bug of ours
        sys.exit(_unexpected(error, given))
    sys.exit(code if isinstance(code, int) else Exit.MET)


def _unexpected(error: Exception, arguments: Sequence[str]) -> int:
    show = getattr(error, "show", None)
    if show is not None:  # a usage error of the option parser prints itself
        show()
        code = int(getattr(error, "exit_code", Exit.USAGE))
        _note_unread(error, arguments, code)
        return code
    print(f"failed: {type(error).__name__}: {error}. This is a fault of bitbudget.", file=sys.stderr)  # noqa: T201
    return int(Exit.FAILED)


def _note_unread(error: Exception, arguments: Sequence[str], code: int) -> None:
    """Write the result file of a submission whose options could not be read: whoever waits for it finds the reason."""
    path = named_in(arguments) if arguments[:1] == ["submit"] else None
    if path is not None:
        with suppress(SearchError):
            message = str(getattr(error, "message", error))
            write_ending(path, Ending(error={"code": "usage", "message": message}, exit_code=code))
