"""From the text of a request to a checked job spec: the schema of the command line, with a pointer for every mistake.

Only JSON is looked at: no model is parsed and no path is followed in this process.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from search.errors import UsageError
from search.spec.installed_metrics import check_installed
from search.spec.job import JobSpec
from search.spec.load import check_available, read_spec
from search.spec.messages import Mistake, mistakes
from search.spec.metric_names import PLUGIN_PREFIX
from search.spec.resolve import resolve_target
from search.spec.suggestion import did_you_mean
from search.targets.document import target_names
from search.targets.toolchain import parse_version
from service.problems import Pointer, ServiceError

MAX_POINTERS = 50
MAX_YAML_CHARACTERS = 2**17
"""Of a spec as YAML, whose reading holds this process up for microseconds per character; JSON has the body's limit."""
MAX_SPEC_VALUES = 20_000
"""Keys and values of a spec; every one of them costs checks, and a mistake is told for each key."""


def read_job(text: str) -> JobSpec:
    """Return the spec that the body of a request holds, its target resolved.

    Raises:
        ServiceError: ``bad-request`` if the text is neither JSON nor YAML, ``invalid-spec`` with pointers if it cannot
            be used.
    """
    try:
        values = read_spec(text, most_characters=MAX_YAML_CHARACTERS, most_values=MAX_SPEC_VALUES)
    except UsageError as error:
        raise ServiceError("bad-request", str(error)) from None
    spec = check_job(values)
    return spec.model_copy(update={"target": resolve_target(spec.target)})


def check_job(values: Mapping[str, Any]) -> JobSpec:
    """Return the spec with these values.

    Raises:
        ServiceError: ``invalid-spec`` with a pointer for every mistake.
    """
    try:
        spec = JobSpec.model_validate(dict(values))
    except ValidationError as error:
        explained, n_mistakes = mistakes(error, values, model=JobSpec, most=MAX_POINTERS)
        raise _invalid([_pointer(one) for one in explained], n_mistakes) from None
    found = [*_target_mistakes(spec), *_availability_mistakes(spec), *_text_mistakes(spec.to_json(), "")]
    if found:
        raise _invalid(found, len(found))
    return spec


def _invalid(pointers: list[Pointer], n_mistakes: int) -> ServiceError:
    shown = pointers[:MAX_POINTERS]
    more = f"; and {n_mistakes - 3} more" if n_mistakes > 3 else ""
    detail = "; ".join(f"{one.pointer or '/'}: {one.message}" for one in shown[:3])
    return ServiceError("invalid-spec", f"{detail}{more}.", pointers=shown)


def _pointer(mistake: Mistake) -> Pointer:
    return Pointer(json_pointer(mistake.pointer), mistake.message)


def json_pointer(parts: tuple[str | int, ...]) -> str:
    """Return ``/goal/0/max_drop`` for ``("goal", 0, "max_drop")`` (RFC 6901); odd characters are escaped."""
    steps = (str(part).encode("ascii", "backslashreplace").decode() for part in parts)
    return "".join("/" + step.replace("~", "~0").replace("/", "~1")[:200] for step in steps)


def _target_mistakes(spec: JobSpec) -> list[Pointer]:
    found = []
    names = target_names()
    if spec.target.name not in names:  # never as a path: a user's own TOML file is for the command line
        near = did_you_mean(spec.target.name, names)
        found.append(Pointer("/target/name", f"there is no such target{near}; known: {', '.join(names)}"))
    if spec.target.toolchain is not None:
        try:
            parse_version(spec.target.toolchain)
        except UsageError as error:
            found.append(Pointer("/target/toolchain", str(error)))
    return found


def _availability_mistakes(spec: JobSpec) -> list[Pointer]:
    try:
        check_available(spec)
        for goal in spec.goal:
            if goal.metric.startswith(PLUGIN_PREFIX):
                check_installed(goal.metric)
    except UsageError as error:
        return [Pointer("", str(error))]
    return []


def _text_mistakes(value: Any, pointer: str) -> list[Pointer]:
    """Texts that no column and no file name takes."""
    if isinstance(value, str):
        mistake = "must not hold a zero byte" if "\0" in value else None
        if any("\ud800" <= character <= "\udfff" for character in value):
            mistake = "must not hold half a surrogate pair"
        return [] if mistake is None else [Pointer(pointer, mistake)]
    if isinstance(value, dict):
        inner = [one for key, child in value.items() for one in _text_mistakes(child, pointer + json_pointer((key,)))]
        return inner + [one for key in value for one in _text_mistakes(key, pointer)]
    if isinstance(value, list):
        return [one for n, child in enumerate(value) for one in _text_mistakes(child, f"{pointer}/{n}")]
    return []
