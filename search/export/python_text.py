"""Pieces of generated Python: names are always written by ``repr``, so no node name can end a string or a comment."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from search.precision import Format

DTYPES = {
    Format.INT8: "qint8",
    Format.INT16: "qint16",
    Format.FP16: "torch.float16",
    Format.FP32: "torch.float32",
}
"""Formats as the plugin's Python names them."""


def literal(text: str) -> str:
    """Return a Python string literal in ASCII; control characters and quotes are escaped."""
    return ascii(text)


def number(value: float) -> str:
    """Return a float literal that reads back to the same number."""
    return repr(float(value))


def dict_text(items: Mapping[str, str], *, name: str) -> str:
    """Return ``NAME = {...}`` with one item per line; values are Python text already."""
    if not items:
        return f"{name} = {{}}\n"
    rows = "".join(f"    {literal(key)}: {value},\n" for key, value in items.items())
    return f"{name} = {{\n{rows}}}\n"


def comment(lines: Iterable[str]) -> str:
    """Return comment lines. Callers pass names through ``literal`` first, so no line breaks can be inside."""
    return "".join(f"# {line}\n" if line else "#\n" for line in lines)
