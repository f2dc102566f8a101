"""The command line. Commands that search nothing load none of the search: they start sooner."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import nullcontext, suppress
from pathlib import Path

import typer

from search.errors import SearchError
from service.cli.commands import COMMANDS, Line, application, overview
from service.cli.exits import Exit, exit_of_client_error, exit_of_error
from service.cli.result_file import Ending, is_open, left_at_sigterm, named_in, write_ending
from service.client.errors import AuthenticationError, ClientError

COMPLETION = "_BITBUDGET_COMPLETE"
"""Set by a shell that asks what could come next."""


def _app(arguments: Sequence[str], commands: Mapping[str, Line]) -> typer.Typer:
    """The command that is meant; all names for their list; everything for a shell that completes a line."""
    if COMPLETION in os.environ:
        return application(commands)
    name = arguments[0] if arguments else ""
    return application({name: commands[name]}) if name in commands else overview(commands)


def main(arguments: Sequence[str] | None = None, *, commands: Mapping[str, Line] = COMMANDS) -> None:
    """Run the command line and leave with its exit code.

    Args:
        arguments: What follows the program's name; those of the process by default.
        commands: Those that there are.
    """
    given = sys.argv[1:] if arguments is None else list(arguments)
    path = named_in(given) if given[:1] == ["submit"] else None
    try:
        with left_at_sigterm(path, Exit.INTERRUPTED) if path is not None else nullcontext():
            if path is not None:
                write_ending(path, Ending())  # nobody shall take an earlier ending for this one
            code = _app(given, commands)(given, prog_name="bitbudget", standalone_mode=False)
    except SearchError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        sys.exit(exit_of_error(error))
    except ClientError as error:
        print(f"error: {_told(error)}", file=sys.stderr)  # noqa: T201
        sys.exit(exit_of_client_error(error))
    except typer.Exit as end:
        sys.exit(end.exit_code)
    except (typer.Abort, KeyboardInterrupt):
        _note(path, Exit.INTERRUPTED, "interrupted", "The command was interrupted.")
        sys.exit(Exit.INTERRUPTED)
    except Exception as error:  # noqa: BLE001  the edge: a click usage error, or a bug of ours
        sys.exit(_unexpected(error, path))
    sys.exit(code if isinstance(code, int) else Exit.MET)


def _told(error: ClientError) -> str:
    """What went wrong, with the way out of this program: the server speaks to those who write requests."""
    if isinstance(error, AuthenticationError):
        return f"{error.detail} Set BITBUDGET_API_KEY to a live key; 'bitbudget serve' shows the first one once."
    return str(error)


def _unexpected(error: Exception, path: Path | None) -> int:
    show = getattr(error, "show", None)
    if show is not None:  # a usage error of the option parser prints itself
        show()
        code = int(getattr(error, "exit_code", Exit.USAGE))
        _note(path, code, "usage", str(getattr(error, "message", error)))
        return code
    print(f"failed: {type(error).__name__}: {error}. This is a fault of bitbudget.", file=sys.stderr)  # noqa: T201
    _note(path, Exit.FAILED, type(error).__name__, str(error))
    return int(Exit.FAILED)


def _note(path: Path | None, code: int, cause: str, message: str) -> None:
    """Write the ending of a submission that ended before it could do so itself: whoever waits finds the reason."""
    if path is not None and is_open(path):
        with suppress(SearchError):
            write_ending(path, Ending(error={"code": cause, "message": message}, exit_code=code))
