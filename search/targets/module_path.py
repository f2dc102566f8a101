"""Node names as paths of modules, as exporters of PyTorch write them. Text only: also pages use it."""

from __future__ import annotations


def dotted(node: str) -> str:
    """Return a node name as a path of modules: ``/head/layers.0/Conv`` is ``head.layers.0.Conv``.

    A child of a container that repeats its name (``/blocks/blocks.0/Conv``) counts it once.
    """
    path: list[str] = []
    for part in node.strip("/").split("/"):
        if path and part.startswith(path[-1] + "."):
            path.pop()
        path.append(part)
    return ".".join(path)
