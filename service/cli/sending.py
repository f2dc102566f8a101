"""From a job spec with paths to one the server understands: what it names is uploaded, unless the server has it."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from search.errors import InvalidModelError, UsageError
from service.cli.loading import signals_wait
from service.client import Client

GRAPH, RANDOM = "onnx:", "random"
_REFERENCE = re.compile(r"sha256:[0-9a-f]{64}|models/[0-9a-f-]+|datasets/[0-9a-f-]+|connection://.+")
_DATA = ("calibration", "evaluation", "confirmation")


def is_reference(text: str) -> bool:
    """Whether an input is one the server has rather than a path here."""
    return _REFERENCE.fullmatch(text) is not None


@dataclass(frozen=True, kw_only=True)
class Sending:
    """How inputs are found and what happens to them.

    Attributes:
        client: Where they go.
        base: Folder that relative paths of the spec file start from.
        absolute: Roles whose relative paths start from the working directory.
        say: Is told what is uploaded.
    """

    client: Client
    base: Path
    absolute: frozenset[str]
    say: Callable[[str], None]

    def send(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Upload all inputs of a spec; return the spec with references in place of paths.

        Raises:
            UsageError: If a path does not exist or cannot be read.
            InvalidModelError: If the model is not ONNX.
        """
        found = copy.deepcopy(dict(values))
        found["model"] = self._model("model", str(values["model"]))
        data = found["data"]
        for role in _DATA:
            text = data.get(role)
            if text is not None and not (role == "calibration" and text == RANDOM):
                data[role] = self._data(role, str(text))
        if found.get("overrides") is not None:
            found["overrides"] = self._file("overrides", str(found["overrides"]))
        for goal in found.get("goal") or ():
            metric = str(goal.get("metric", ""))
            if metric.startswith(GRAPH):
                goal["metric"] = GRAPH + self._model("metric", metric.removeprefix(GRAPH))
        return found

    def _model(self, role: str, text: str) -> str:
        path = self._path(role, text)
        if path is None:
            return text
        if not path.is_file():
            raise InvalidModelError(f"The {role} {text!r} is no file. Give the path of an .onnx file.")
        with signals_wait():
            from service.local.external_data import external_files  # noqa: PLC0415  loads onnx

        beside = _reading(path, external_files)
        if not beside:
            return self._put(path)
        self.say(f"uploading {path} with {len(beside)} files of external data")
        made = _reading(path, lambda one: self.client.models.upload(one, files=beside, name=path.name[:200]))
        return f"models/{made.id}"

    def _data(self, role: str, text: str) -> str:
        path = self._path(role, text)
        if path is None:
            return text
        if path.is_file():
            return self._put(path)
        if not any(one.is_file() for one in path.rglob("*")):
            raise UsageError(f"The {role} data {text!r} is an empty directory.")
        self.say(f"uploading the files of {path}")
        return f"datasets/{_reading(path, self.client.datasets.upload).id}"

    def _file(self, role: str, text: str) -> str:
        path = self._path(role, text)
        return text if path is None else self._put(path)

    def _put(self, path: Path) -> str:
        self.say(f"uploading {path} ({path.stat().st_size / 1e6:.1f} MB)")
        return str(_reading(path, self.client.blobs.put))

    def _path(self, role: str, text: str) -> Path | None:
        """Path of an input, None if it is the server's already."""
        path = (Path() if role in self.absolute else self.base) / text
        try:
            if path.exists():
                return path
        except (OSError, ValueError):
            pass
        if is_reference(text):
            return None
        raise UsageError(f"The {role} {text!r} does not exist. Check the path.")


def _reading(path: Path, work: Callable[[Path], Any]) -> Any:
    try:
        return work(path)
    except OSError as error:
        raise UsageError(f"{str(path)!r} cannot be read: {error.strerror}. Check its permissions.") from None
