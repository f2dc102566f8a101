"""Where exported calibration samples lie: ``calibration/<input name>/<n>.npy``, the layout vendor compilers read.

The folder must carry the input's name; a name that would lead out of the folder is spelled with underscores instead.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath

FOLDER = "calibration"
_UNSAFE = re.compile(r"[^A-Za-z0-9_.-]|^\.+$")


def sample_path(name: str, n: int) -> str:
    """Path of sample ``n`` of input ``name``, relative to the output folder."""
    return f"{FOLDER}/{input_folder(name)}/{n}.npy"


def input_folder(name: str) -> str:
    """Folder of one input below the calibration folder: its name, made harmless where it has to be."""
    parts = PurePosixPath(name).parts
    is_plain = bool(parts) and "/".join(parts) == name and ".." not in parts and parts[0] != "/"
    if is_plain and name.isprintable() and "\\" not in name and all(len(part.encode()) < 250 for part in parts):
        return name
    return _UNSAFE.sub("_", name)[:200] or "_"
