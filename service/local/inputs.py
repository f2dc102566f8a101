"""From a checked spec and the files it names to a ``Problem``, and the way back from digests to files."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from search.canonical import digest_json
from search.data.checks import check_finite
from search.data.digest import directory_digest, file_digest
from search.data.inputs import InputInfo
from search.data.open import open_data
from search.errors import InvalidModelError, UsageError
from search.graph.load import read_model
from search.runtime.session import versions
from search.spec.job import JobSpec
from search.spec.load import spec_digest
from search.spec.resolve import resolve_target
from search.study.problem import Problem
from search.targets.target import load_target
from service.local.store import RunStore

RANDOM = "random"
_ROLES = ("model", "calibration", "evaluation", "confirmation", "overrides")


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
        """What is computed: the spec with digests instead of paths, without what may change when it is continued."""
        return {"spec": spec_digest(self.problem.spec, self.contents), **spec_fields(self.problem.spec, self.contents)}


def spec_fields(spec: JobSpec, contents: Mapping[str, str]) -> dict[str, str]:
    """Digest of each top-level key of the spec, so that a difference can be named."""
    values = spec.to_json()
    named = {key: digest_json(value) for key, value in values.items() if key not in ("run", "search", "data", "model")}
    return {**named, **contents}


def preflight(local: LocalProblem) -> None:
    """Look at all data once before anything is computed.

    Raises:
        InvalidDataError: If data cannot be read, does not fit the model, or holds NaN or infinities.
    """
    inputs = [
        InputInfo(name=value.name, dtype=np.dtype(value.dtype), shape=value.shape)
        for value in read_model(local.paths[local.problem.model]).inputs
    ]
    digests = {local.problem.calibration, local.problem.evaluation, local.problem.confirmation} - {None}
    for digest in sorted(digest for digest in digests if digest is not None):
        check_finite(open_data(local.paths[digest], inputs, local.problem.spec.data.preprocess))


def open_problem(spec: JobSpec, *, base: Path, absolute: frozenset[str] = frozenset()) -> LocalProblem:
    """Read what the spec names, as far as its identity needs it.

    Args:
        spec: The checked spec.
        base: Folder that relative paths of the spec start from.
        absolute: Roles (``model``, ``calibration``, ...) whose relative paths start from the working directory instead.

    Raises:
        UsageError: If a path does not exist or the target is unknown.
        InvalidModelError: If the model cannot be read.
    """
    spec = spec.model_copy(update={"target": resolve_target(spec.target)})
    target = load_target(spec.target.name, toolchain=spec.target.toolchain)
    paths: dict[str, Path] = {}
    contents: dict[str, str] = {}
    here = {role: Path() if role in absolute else base for role in _ROLES}
    model = _existing(here["model"], spec.model, "model")
    contents["model"] = read_model(model).digest
    paths[contents["model"]] = model
    for role in ("calibration", "evaluation", "confirmation"):
        text = getattr(spec.data, role)
        if text is not None and not (role == "calibration" and text == RANDOM):
            path = _existing(here[role], text, f"{role} data")
            contents[f"data.{role}"] = data_digest(path)
            paths[contents[f"data.{role}"]] = path
    overrides = None
    if spec.overrides is not None:
        path = _existing(here["overrides"], spec.overrides, "overrides")
        contents["overrides"] = file_digest(path)
        overrides = _read_json(path)
    problem = Problem(
        spec=spec,
        target=target,
        model=contents["model"],
        calibration=contents.get("data.calibration"),
        evaluation=contents.get("data.evaluation"),
        confirmation=contents.get("data.confirmation"),
        overrides=overrides,
        environment={**versions(), "processor": processor(), "threads": str(spec.run.threads)},
    )
    if problem.evaluation is None and not problem.is_random:
        raise UsageError("No evaluation data. Give --evaluation, or --calibration random to run the flow without data.")
    return LocalProblem(problem, paths, contents)


def data_digest(path: Path) -> str:
    """Digest of a data file, or of all regular files of a directory."""
    if path.is_file():
        return file_digest(path)
    return directory_digest(path, (found for found in sorted(path.rglob("*")) if found.is_file()))


def processor() -> str:
    """Model name of the processor: results may differ between two kinds."""
    info = Path("/proc/cpuinfo")
    if info.is_file():
        lines = info.read_text(errors="replace").splitlines()
        names = [
            line.partition(":")[2].strip() for line in lines if line.startswith(("model name", "cpu family", "model\t"))
        ]
        if names:
            return " ".join(names[:3])
    return platform.processor() or platform.machine()


def _existing(base: Path, text: str, what: str) -> Path:
    path = Path(text) if Path(text).is_absolute() else base / text
    if not path.exists():
        raise UsageError(f"The {what} {text!r} does not exist. Check the path.")
    if what == "model" and not path.is_file():
        raise InvalidModelError(f"The model {text!r} is a directory. Give the path of an .onnx file.")
    return path


def _read_json(path: Path) -> Mapping[str, Any]:
    try:
        value = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise UsageError(f"The overrides file {str(path)!r} is no JSON: {error}.") from None
    if not isinstance(value, dict):
        raise UsageError(f"The overrides file {str(path)!r} must hold an object of tensor names.")
    return value
