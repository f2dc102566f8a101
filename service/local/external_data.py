"""Which files beside a model hold its external data, for those who upload it: the model is not checked here."""

from __future__ import annotations

from pathlib import Path

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from onnx import TensorProto

from search.errors import InvalidModelError
from search.graph.walk import tensors


def external_files(model: Path) -> dict[str, Path]:
    """Return the files of a model's external data by the path the model names them by.

    Raises:
        InvalidModelError: If it is no ONNX model, or names a file that is not below its folder.
        OSError: If it cannot be read.
    """
    try:
        proto = onnx.ModelProto.FromString(model.read_bytes())
    except DecodeError as error:
        raise InvalidModelError(f"Model {model} is not an ONNX model, or it is truncated ({error}).") from None
    found: dict[str, Path] = {}
    for where, tensor in tensors(proto):
        if tensor.data_location == TensorProto.EXTERNAL:
            name = next((entry.value for entry in tensor.external_data if entry.key == "location"), "")
            found[name] = _file(model.parent, name, where)
    return found


def _file(folder: Path, name: str, where: str) -> Path:
    parts = name.split("/")
    is_below = name and not Path(name).is_absolute() and not {"", ".", ".."}.intersection(parts) and "\\" not in name
    if not is_below or not (folder / name).is_file():
        raise InvalidModelError(
            f"{where} has its data in {name!r}, which is no file below the folder of the model. "
            "Copy the data beside the model, or save the model in one file."
        )
    return folder / name
