"""What a metric of the user's own is, as a digest: another answer needs another digest, or results would be mixed.

It covers, for every function of the metric, the source of the module that defines it, the values it has captured
(closure, defaults, bound object, ``functools.partial``), and the metric's own settings with its ``version``. What a
module imports is not covered: that is what ``version`` is for. In a notebook, where modules have no file, the source of
the function itself counts; where there is none either, its byte code.
"""

from __future__ import annotations

import functools
import inspect
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from search.canonical import digest_bytes, digest_json
from search.errors import UsageError
from search.metrics.user_metric import UserMetric

_DEPTH = 8
_BY_TEXT = (bool, int, float, complex, str, bytes, range, PurePath, np.dtype, type(None))


class _UnknownError(Exception):
    """A captured value that has no identity."""


def metric_digest(name: str, user: UserMetric, *, source: Path | None = None) -> str:
    """Return the digest of a metric.

    Args:
        name: What the user knows it by.
        user: The metric.
        source: The file it was found in by name, which counts too.

    Raises:
        UsageError: If it has captured something that cannot be told apart from another one, and states no version.
    """
    look = _Look(is_versioned=bool(user.version))
    functions = {"per_batch": user.per_batch, "value": user.value, "evaluate": user.evaluate}
    try:
        told = {key: look.callable(one) for key, one in functions.items() if one is not None}
    except _UnknownError as error:
        raise UsageError(
            f"Metric {name!r} holds {error}, which cannot be told apart from another one. Give the metric a version "
            "(version='1') and raise it whenever its answers change."
        ) from None
    settings = {"direction": user.direction, "best": user.best, "version": user.version}
    found = None if source is None else digest_bytes(source.read_bytes())
    return digest_json({"metric": told, "settings": settings, "source": found})


@dataclass(frozen=True)
class _Look:
    """A look at what a metric consists of, as JSON.

    Attributes:
        is_versioned: Whether values without identity may be told by their type, since a version is stated.
        depth: How far inside.
    """

    is_versioned: bool
    depth: int = 0

    @property
    def _inside(self) -> _Look:
        return replace(self, depth=self.depth + 1)

    def callable(self, found: Any) -> Any:
        """A function, a bound method, a partial or a callable object, with what it has captured."""
        if isinstance(found, functools.partial):
            return ["partial", self.callable(found.func), self._inside.value([list(found.args), found.keywords])]
        if inspect.ismethod(found):
            return ["method", self._function(found.__func__), self._inside.value(found.__self__)]
        if inspect.isfunction(found):
            return self._function(found)
        if inspect.isbuiltin(found) or isinstance(found, np.ufunc):
            return [getattr(found, "__module__", None) or "builtins", str(found.__name__)]
        return self._object(found)

    def value(self, found: Any) -> Any:
        """A captured value."""
        if self.depth > _DEPTH:
            return self._unknown(found)
        if isinstance(found, _BY_TEXT):
            return f"{type(found).__name__} {found!r}"
        if isinstance(found, np.generic | np.ndarray) and found.dtype != np.object_:
            return [str(found.dtype), list(found.shape), digest_bytes(np.ascontiguousarray(found).tobytes())]
        if isinstance(found, Mapping | list | tuple | set | frozenset):
            return self._several(found)
        if isinstance(found, types.ModuleType):
            return ["module", found.__name__]
        return [type(found).__qualname__, found.name] if isinstance(found, Enum) else self.callable(found)

    def _several(self, found: Any) -> Any:
        inside = self._inside
        if isinstance(found, Mapping):
            return ["mapping", [[inside.value(key), inside.value(one)] for key, one in found.items()]]
        told = [inside.value(one) for one in found]
        return [type(found).__name__, sorted(map(str, told)) if isinstance(found, set | frozenset) else told]

    def _function(self, found: Callable[..., Any]) -> Any:
        assert isinstance(found, types.FunctionType)
        cells = [cell.cell_contents for cell in found.__closure__ or () if _is_filled(cell)]
        captured = [cells, list(found.__defaults__ or ()), found.__kwdefaults__ or {}]
        return [found.__qualname__, _source(found), self._inside.value(captured)]

    def _object(self, found: Any) -> Any:
        """An object by its class and attributes; a class by its source."""
        kind = found if inspect.isclass(found) else type(found)
        attributes = {} if inspect.isclass(found) else getattr(found, "__dict__", None)
        if attributes is None or kind.__module__ == "builtins":
            return self._unknown(found)
        return [kind.__qualname__, _source(kind), self._inside.value(attributes)]

    def _unknown(self, found: Any) -> str:
        if not self.is_versioned:
            raise _UnknownError(f"a {type(found).__name__}")
        return type(found).__qualname__


def _source(found: Any) -> str:
    """Digest of the module's file; of the function alone in a notebook; of byte code where there is no source."""
    try:
        path = inspect.getsourcefile(found)
        if path is not None and Path(path).is_file():
            return digest_bytes(Path(path).read_bytes())
        return digest_json(inspect.getsource(found))
    except (OSError, TypeError):
        code = getattr(found, "__code__", None)
        return digest_json(f"{found.__module__}.{found.__qualname__}" if code is None else _code(code))


def _code(code: types.CodeType) -> Any:
    constants = [_code(one) if isinstance(one, types.CodeType) else repr(one) for one in code.co_consts]
    return [code.co_code.hex(), constants, list(code.co_names), list(code.co_varnames)]


def _is_filled(cell: types.CellType) -> bool:
    try:
        _ = cell.cell_contents
    except ValueError:
        return False
    return True
