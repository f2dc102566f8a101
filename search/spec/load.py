"""From the text of a job spec, or the values of one, to a checked ``JobSpec``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from search.errors import UsageError
from search.spec.job import JobSpec
from search.spec.messages import validation_text
from search.spec.yaml_text import MAX_CHARACTERS, MAX_VALUES, read_values


def read_spec(
    text: str, *, where: str = "spec", most_characters: int = MAX_CHARACTERS, most_values: int = MAX_VALUES
) -> dict[str, Any]:
    """Return the values of a YAML or JSON spec, unchecked, for ``merge_flags`` and ``build_job``.

    Args:
        text: The text.
        where: What the user knows it by.
        most_characters: Of a YAML text.
        most_values: Keys and values it may hold.

    Raises:
        UsageError: If the text is not one mapping, or has more than it may.
    """
    values = read_values(text, where=where, most_characters=most_characters, most_values=most_values)
    if not isinstance(values, dict):
        raise UsageError(f"{where}: a job spec is a mapping that begins with 'schema: bitbudget.job/1'.")
    return values


def build_job(values: Mapping[str, Any], *, where: str = "spec") -> JobSpec:
    """Return the job spec with these values; keys that are missing take their defaults.

    Raises:
        UsageError: If a key is unknown or missing, or a value has the wrong type or range; one line with all pointers.
    """
    try:
        return JobSpec.model_validate(dict(values))
    except ValidationError as error:
        raise UsageError(validation_text(error, values, where=where, model=JobSpec)) from None


def load_job(text: str, *, where: str = "spec") -> JobSpec:
    """Return the job spec that a YAML or JSON text holds.

    Raises:
        UsageError: As ``read_spec`` and ``build_job``.
    """
    return build_job(read_spec(text, where=where), where=where)


def check_available(job: JobSpec, *, trusts_python: bool = False) -> None:
    """Refuse what the schema knows but this version cannot run.

    Args:
        job: The job.
        trusts_python: Whether metrics that are Python code may run: the user's own, on her own machine.

    Raises:
        UsageError: If a metric is not available.
    """
    for goal in job.goal:
        if goal.metric.startswith("python:") and not trusts_python:
            raise UsageError(
                f"metric {goal.metric!r} is Python code, which is not available here: 'bitbudget search' runs it on "
                "your own machine with --trust-python; a server takes an ONNX graph from (outputs, labels) to one "
                "value per sample, onnx:<path>."
            )
