"""``bitbudget`` and ``python -m bitbudget``: the command line."""

from __future__ import annotations

from collections.abc import Sequence

from bitbudget._commands import ALL
from service.cli import main as command_line


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and leave with its exit code.

    Args:
        arguments: What follows the program's name; those of the process by default.
    """
    command_line.main(arguments, commands=ALL)


if __name__ == "__main__":
    main()
