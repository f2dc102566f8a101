"""Why the runtime refused a model, in this project's words: what, where, way out.

The runtime names the node between source paths and status codes; only the node is taken over. Its own text stays on the
exception as its cause.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

_RUNNING = re.compile(r"while running (?P<op>\w+) node\. Name:'(?P<name>[^']*)'")
_NO_KERNEL = re.compile(r"implementation for (?P<op>\w+)\(\d+\) node with name '(?P<name>[^']*)'")
_IN_NODE = re.compile(r"(?:in|of) node \((?P<name>[^)]*)\)")
_UNKNOWN = re.compile(r"In Node, \(\"?(?P<name>[^\",]*)\"?, (?P<op>\w+),.*No Op registered")
_BAD_NODE = re.compile(r"Node ?\((?P<name>[^)]*)\)|node with name '(?P<name2>[^']*)'")
_MEMORY = (
    "bad_alloc",
    "bad allocation",
    "Failed to allocate",
    "Available memory",
    "Cannot allocate memory",
    "cannot allocate memory",
    "pthread_create failed",
)
_TYPES = ("Type Error", "bound to different types", "type inference failed", "TypeInferenceError")
_WRONG_INPUT = re.compile(r"(?:for input|input name|Invalid Feed Input Name|for input:)\s*:?\s*(?P<name>[\w./:-]+)")


def is_out_of_memory(text: str) -> bool:
    """Whether the runtime's own words say that memory did not suffice."""
    return any(word in text for word in _MEMORY)


def load_refusal(text: str) -> str:
    """What to say of a model the runtime does not load.

    Args:
        text: The runtime's own words.
    """
    if is_out_of_memory(text):
        return "The model does not fit into memory. Search it on a machine with more, or cut it."
    kernel = _NO_KERNEL.search(text)
    if kernel is not None:
        return (
            f"{kernel['op']} {kernel['name']!r} has no CPU kernel for the types it is used with, so the model cannot "
            "be evaluated. Export it in float32 with standard operators."
        )
    unknown = _UNKNOWN.search(text)
    if unknown is not None:
        return f"{unknown['op']} {unknown['name']!r} is no operator of this opset. Export the model again."
    where = _where(_IN_NODE.search(text) or _BAD_NODE.search(text))
    if any(word in text for word in _TYPES):
        return f"{where} reads or writes types that its operator does not take. Export the model again."
    return (
        f"{where} cannot be set up as the file states it, so the model cannot be evaluated. Check that the model loads "
        "in ONNX Runtime, and export it again."
    )


def run_refusal(text: str, feeds: Mapping[str, npt.ArrayLike]) -> str:
    """What to say of a run that failed.

    Args:
        text: The runtime's own words.
        feeds: What the model was fed with.
    """
    fed = ", ".join(f"{name} {_described(array)}" for name, array in list(feeds.items())[:4]) or "no inputs"
    if is_out_of_memory(text):
        return f"A run of the model on {fed} does not fit into memory. Use smaller inputs, or more memory."
    nodes = list(_RUNNING.finditer(text))
    if nodes:
        last = nodes[-1]  # the innermost of nested graphs
        return (
            f"{last['op']} {last['name']!r} cannot compute with the values and sizes it gets from {fed}. "
            "Give data as the model expects it, or export the model so that it takes these."
        )
    wrong = _WRONG_INPUT.search(text)
    which = f"input {wrong['name']!r}" if wrong is not None else "its inputs"
    return f"The model does not take {fed}: sizes or type of {which} differ. Give data as the model expects it."


def _where(found: re.Match[str] | None) -> str:
    name = next((group for group in found.groups() if group), "") if found is not None else ""
    return f"Node {name!r}" if name else "A node of the model"


def _described(array: object) -> str:
    value = np.asarray(array)
    return f"{value.dtype}{list(value.shape)}"
