"""From the row of a study to the core's ``Problem``, and the inputs it needs by digest.

``studies.problem`` names the content of every input; the spec keeps the names the user gave. Nothing is parsed here but
JSON.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from search.canonical import digest_json
from search.errors import SearchError
from search.spec.load import build_job
from search.spec.metric_names import PLUGIN_PREFIX
from search.spec.resolve import resolve_target
from search.targets.target import load_target
from search.work.problem import Problem
from search.work.python_metric import digest_of
from workers.failures import StudyFailedError, failure_of

MODEL_NAME = "model.onnx"
MAX_OVERRIDES_BYTES = 64 * 2**20
MAX_FILES = 200_000
"""Files of one input: each becomes a file beside every evaluator."""
_METRIC = "metric."
_DATA = ("calibration", "evaluation", "confirmation")
Blob = Callable[[str], bytes]


@dataclass(frozen=True)
class Input:
    """One input of a study by content.

    Attributes:
        role: ``model``, ``calibration``, ``evaluation``, ``confirmation``, ``overrides`` or ``metric``.
        digest: Identity: of one file its SHA-256, of several the digest of ``{relative path: SHA-256}``.
        files: Relative path to blob digest. One file has the name ``main``.
        main: The file to open; None if the directory itself is the input.
    """

    role: str
    digest: str
    files: Mapping[str, str]
    main: str | None


@dataclass(frozen=True)
class StudyProblem:
    """A problem with what must lie on disk to compute it."""

    problem: Problem
    inputs: tuple[Input, ...]


def study_problem(
    spec: Mapping[str, Any], stored: Mapping[str, Any], environment: Mapping[str, str], blob: Blob
) -> StudyProblem:
    """Build the problem of a study.

    Args:
        spec: ``studies.spec``.
        stored: ``studies.problem``.
        environment: Library versions and processor of the evaluators.
        blob: Content of a small blob, for the overrides file.

    Raises:
        StudyFailedError: If the spec or an input cannot be used.
    """
    try:
        return _build(spec, stored, environment, blob)
    except SearchError as error:
        raise failure_of(error) from None


def _build(
    spec: Mapping[str, Any], stored: Mapping[str, Any], environment: Mapping[str, str], blob: Blob
) -> StudyProblem:
    inputs = {pointer: _input(pointer, value) for pointer, value in stored["inputs"].items()}
    job = build_job(dict(spec))
    threads = min(job.run.threads, int(stored.get("threads", job.run.threads)))
    changes = {"target": resolve_target(job.target), "model": inputs["model"].main}
    job = job.model_copy(update={**changes, "run": job.run.model_copy(update={"threads": threads})})
    data = {role: inputs[f"data.{role}"].digest for role in _DATA if f"data.{role}" in inputs}
    metrics = {
        pointer.removeprefix(_METRIC): one.digest for pointer, one in inputs.items() if pointer.startswith(_METRIC)
    }
    metrics |= {goal.metric: digest_of(goal.metric, {}) for goal in job.goal if goal.metric.startswith(PLUGIN_PREFIX)}
    overrides = None
    if "overrides" in inputs:
        overrides = _json(blob(next(iter(inputs["overrides"].files.values()))))
    problem = Problem(
        spec=job,
        target=load_target(job.target.name, toolchain=job.target.toolchain, route=job.target.route),
        model=inputs["model"].digest,
        calibration=data.get("calibration"),
        evaluation=data.get("evaluation"),
        confirmation=data.get("confirmation"),
        overrides=overrides,
        metrics=metrics,
        environment={**environment, "threads": str(job.run.threads)},
        exports_calibration=bool(stored.get("exports_calibration", False)),
    )
    return StudyProblem(problem, tuple(inputs.values()))


def _input(pointer: str, value: Mapping[str, Any]) -> Input:
    role = "metric" if pointer.startswith(_METRIC) else pointer.removeprefix("data.")
    listed = value.get("files") or {}
    if len(listed) > MAX_FILES:
        text = f"The input {pointer} has {len(listed)} files; the limit is {MAX_FILES}. Use one .npz file."
        raise StudyFailedError("invalid-data", "limit", text)
    files = {_safe(path): str(digest) for path, digest in listed.items()}
    if value["kind"] == "directory":
        return Input(role, digest_json(files), files, None)
    if value["kind"] != "file":
        raise StudyFailedError("missing-input", "system", f"The input {pointer} was not brought into the store.")
    digest = str(value["digest"])
    name = _safe(str(value.get("name") or (MODEL_NAME if role in ("model", "metric") else f"{role}.npz")))
    identity = digest_json({"": digest, **files}) if files else digest
    return Input(role, identity, {**files, name: digest}, name)


def _safe(path: str) -> str:
    """Refuse a path that leads out of its folder, however it came into the database."""
    parts = PurePosixPath(path).parts
    if not parts or path.startswith("/") or ".." in parts or "\0" in path or "\\" in path:
        raise StudyFailedError("invalid-spec", "user", f"The file name {path!r} of an input is not allowed.")
    return path


def _json(data: bytes) -> Mapping[str, Any]:
    try:
        value = json.loads(data) if len(data) <= MAX_OVERRIDES_BYTES else None
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise StudyFailedError("invalid-spec", "user", "The overrides file must be a JSON object of tensor names.")
    return value
