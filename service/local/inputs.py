"""From a checked spec and the files it names to a ``Problem``, and the way back from digests to files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from search.data.digest import directory_digest, file_digest
from search.errors import InvalidModelError, UsageError
from search.graph.load import read_model
from search.metrics.user_metric import UserMetric
from search.runtime.session import versions
from search.spec.job import JobSpec
from search.spec.resolve import resolve_target
from search.strategies.auto.one_precision import check_strategy
from search.targets.target import load_target
from search.work.problem import Problem
from search.work.python_metric import digest_of, direction_of, known_metric
from service.local.store import RunStore
from service.machine import processor

RANDOM = "random"
_NESTED = ("data", "target", "calibration", "search")
_FREE = ("run", "search.max_evaluations", "search.max_seconds")
_WHAT = {"model": "model", "overrides": "overrides file", "metric": "metric"}
_ROLES = ("model", "calibration", "evaluation", "confirmation", "overrides", "metric")
_GRAPH = "onnx:"


@dataclass(frozen=True)
class LocalFiles:
    """Inputs by digest on this machine, blobs from the run directory."""

    paths: Mapping[str, Path]
    store: RunStore

    def path(self, digest: str) -> Path:
        """File or directory of the input ``digest``."""
        return self.paths[digest]

    def get(self, digest: str) -> bytes:
        """Blob ``digest``."""
        return self.store.get(digest)


@dataclass(frozen=True)
class LocalProblem:
    """A problem and where its inputs lie."""

    problem: Problem
    paths: Mapping[str, Path]
    contents: Mapping[str, str]
    """Digest of what each path of the spec holds, by pointer."""

    @property
    def identity(self) -> dict[str, Any]:
        """What is computed, key by key, so that a difference can be named: digests of contents instead of paths.

        What may change when a run is continued is left out: ``run`` and the limits of ``search``.
        """
        spec = self.problem.spec.to_json()
        nested = {f"{key}.{name}": value for key in _NESTED for name, value in spec[key].items()}
        flat = {key: value for key, value in spec.items() if key not in (*_NESTED, *_FREE)}
        named = {key: value for key, value in {**flat, **nested}.items() if key not in (*_FREE, *self.contents)}
        contents = {key: f"sha256:{digest}" for key, digest in self.contents.items()}
        return {**named, **contents, "target.rules": self.problem.target.digest}


def open_problem(
    spec: JobSpec,
    *,
    base: Path,
    absolute: frozenset[str] = frozenset(),
    here: Path = Path(),
    exports_calibration: bool = False,
    dumps_layers: bool = False,
    trusts_python: bool = False,
    own_metrics: Mapping[str, UserMetric] = MappingProxyType({}),
) -> LocalProblem:
    """Read what the spec names, as far as its identity needs it.

    Args:
        spec: The checked spec.
        base: Folder that relative paths of the spec start from.
        absolute: Roles (``model``, ``calibration``, ...) whose relative paths start from ``here`` instead.
        here: The working directory, or that of the run whose job this is.
        exports_calibration: Whether the calibration samples are delivered too.
        dumps_layers: Whether every intermediate result of some samples is delivered too.
        trusts_python: Whether metrics that are Python code may run.
        own_metrics: Metrics that a program gave as objects, by the name of their goal.

    Raises:
        UsageError: If a path does not exist or the target is unknown.
        InvalidModelError: If the model cannot be read.
    """
    spec = spec.model_copy(update={"target": resolve_target(spec.target)})
    target = load_target(spec.target.name, toolchain=spec.target.toolchain, route=spec.target.route)
    check_strategy(spec.search.strategy, target)
    found = _Found({role: here if role in absolute else base for role in _ROLES})
    model = found.existing("model", spec.model)
    if not model.is_file():
        raise InvalidModelError(f"The model {spec.model!r} is no file. Give the path of an .onnx file.")
    found.keep("model", model, read_model(model).digest)
    for role in ("calibration", "evaluation", "confirmation"):
        text = getattr(spec.data, role)
        if text is not None and not (role == "calibration" and text == RANDOM):
            path = found.existing(role, text)
            found.keep(f"data.{role}", path, data_digest(path))
    overrides = None
    if spec.overrides is not None:
        path = found.existing("overrides", spec.overrides)
        found.keep("overrides", path, data_digest(path))
        overrides = _read_json(path)
    metrics = _metrics(spec, found, own_metrics)
    contents = found.contents
    problem = Problem(
        spec=spec,
        target=target,
        model=contents["model"],
        calibration=contents.get("data.calibration"),
        evaluation=contents.get("data.evaluation"),
        confirmation=contents.get("data.confirmation"),
        overrides=overrides,
        metrics=metrics,
        own_metrics=dict(own_metrics),  # a plain one: the problem is sent to other processes
        environment={**versions(), "processor": processor(), "threads": str(spec.run.threads)},
        exports_calibration=exports_calibration,
        dumps_layers=dumps_layers,
        trusts_python=trusts_python,
    )
    return LocalProblem(problem, found.paths, contents)


def _metrics(spec: JobSpec, found: _Found, own: Mapping[str, UserMetric]) -> dict[str, str]:
    """Custom metric of a goal to the digest of its file, or of its code."""
    digests = {}
    for goal in spec.goal:
        if goal.metric.startswith(_GRAPH):
            path = found.existing("metric", goal.metric.removeprefix(_GRAPH))
            digests[goal.metric] = read_model(path).digest  # external data included
            found.keep(f"metric.{goal.metric}", path, digests[goal.metric])
        elif goal.is_python:
            direction_of(goal, known_metric(goal.metric, own))
            digests[goal.metric] = digest_of(goal.metric, own)
            found.contents[f"metric.{goal.metric}"] = digests[goal.metric]
    return digests


class _Found:
    """Paths of the spec that were found."""

    def __init__(self, bases: Mapping[str, Path]) -> None:
        self._bases = bases
        self.paths: dict[str, Path] = {}
        self.contents: dict[str, str] = {}

    def existing(self, role: str, text: str) -> Path:
        """Path of a role, which must exist."""
        path = self._bases[role] / text  # an absolute text stands alone
        try:
            if path.exists():
                return path
        except (OSError, ValueError):  # too long, or holds a zero byte
            pass
        what = _WHAT.get(role, f"{role} data")
        raise UsageError(f"The {what} {text!r} does not exist. Check the path.")

    def keep(self, pointer: str, path: Path, digest: str) -> None:
        """Remember what a path of the spec holds."""
        self.paths[digest] = path
        self.contents[pointer] = digest


def data_digest(path: Path) -> str:
    """Digest of a file, or of all regular files of a directory.

    Raises:
        UsageError: If it cannot be read.
    """
    try:
        if path.is_file():
            return file_digest(path)
        return directory_digest(path, (found for found in sorted(path.rglob("*")) if found.is_file()))
    except OSError as error:
        raise UsageError(f"{str(path)!r} cannot be read: {error.strerror}. Check its permissions.") from None


def _read_json(path: Path) -> Mapping[str, Any]:
    try:
        value = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise UsageError(f"The overrides file {str(path)!r} is no JSON: {error}.") from None
    if not isinstance(value, dict):
        raise UsageError(f"The overrides file {str(path)!r} must hold an object of tensor names.")
    return value
