"""The commands of an installation: they put the server and its workers together, so they stand above both."""

from __future__ import annotations

from service.cli.commands import COMMANDS, Line

INSTALLATION = {
    "serve": Line(
        "Serve the REST interface, with workers; SIGTERM finishes the items at hand and leaves.",
        package=__name__,
        needs_linux=True,
    ),
    "worker": Line(
        "Work on queued studies; SIGTERM finishes the items at hand and leaves.", package=__name__, needs_linux=True
    ),
    "migrate": Line(
        "Make or update the tables; safe to repeat. SQLite files are copied before a change.",
        package=__name__,
        needs_linux=True,
    ),
    "doctor": Line(
        "Check this machine's installation; with --url or BITBUDGET_URL also that server. Exit 2 if something is bad.",
        package=__name__,
        needs_linux=True,
    ),
}
ALL = dict(sorted({**COMMANDS, **INSTALLATION}.items(), key=lambda entry: entry[1].is_group))
"""Every command of ``bitbudget``; those that have commands of their own come last, as in the help."""
