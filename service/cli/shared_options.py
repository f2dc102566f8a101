"""Options that two commands share are written once: a command takes those of another as its own."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection
from typing import Any

GOAL_PATHS = frozenset({"metric", "goal"})  # may hold onnx:<path>
PATH_FLAGS = frozenset({"model", "calibration", "evaluation", "confirmation", "overrides"})
"""Given on the command line, these start from the working directory; in a spec file, from its folder."""


def with_options_of(source: Callable[..., Any], names: Collection[str]) -> Callable[[Callable[..., Any]], Any]:
    """Return a decorator that gives a command options of another; it reads them from ``context.params``.

    Args:
        source: The command that declares them.
        names: Which.
    """
    theirs = inspect.signature(source, eval_str=True).parameters

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        own = inspect.signature(command, eval_str=True).parameters

        def run(**values: Any) -> Any:
            return command(**{name: value for name, value in values.items() if name in own})

        shared = [one for name, one in theirs.items() if name in names and name not in own]
        first, *rest = own.values()  # the context comes first
        parameters = [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in (first, *shared, *rest)]
        run.__name__, run.__doc__ = command.__name__, command.__doc__
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # what typer reads
        run.__annotations__ = {one.name: one.annotation for one in parameters}
        return run

    return decorate
