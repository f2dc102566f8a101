"""Arrays by name as the bytes of an ``.npz`` archive, the form in which blobs hold them."""

from __future__ import annotations

import io
from collections.abc import Mapping

import numpy as np

from search.arrays import Array


def load_arrays(data: bytes) -> dict[str, Array]:
    """Read arrays that ``save_arrays`` wrote; nothing is unpickled."""
    with np.load(io.BytesIO(data), allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


def save_arrays(arrays: Mapping[str, Array]) -> bytes:
    """Return the bytes of an archive."""
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()
