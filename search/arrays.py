"""Arrays whose element type is known only at run time: the one place where NumPy's types say nothing.

Model inputs, outputs and constants are of whatever type the file has. Where the type is known, write it:
``npt.NDArray[np.float32]``.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[Any]
DType: TypeAlias = np.dtype[Any]
Floating: TypeAlias = np.floating[Any]
Integer: TypeAlias = np.integer[Any]
Slice: TypeAlias = "slice[Any, Any, Any]"
