"""The list of networks: ``benchmarks/real_models.txt``, whose first lines say what a line means."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

LIST = Path(__file__).parents[1] / "real_models.txt"


@dataclass(frozen=True, slots=True)
class Samples:
    """What one input is fed with.

    Attributes:
        kind: ``image``, ``image-0-1``, ``audio``, ``tokens-V``, ``bytes``, ``ones``, ``zeros`` or ``constant``.
        shape: Of one sample; empty for a constant.
        value: Of a constant.
    """

    kind: str
    shape: tuple[int, ...] = ()
    value: int | None = None


@dataclass(frozen=True, slots=True)
class Network:
    """One line: a file of a package, or what is built and exported.

    Attributes:
        name: Of the row.
        source: Path below site-packages, or the builder with its arguments.
        exporter: ``torchscript-OPSET`` or ``dynamo-OPSET``; empty for a file.
        samples: By input.
    """

    name: str
    source: str
    exporter: str
    samples: Mapping[str, Samples]


@dataclass(frozen=True, slots=True)
class Listed:
    """The whole file.

    Attributes:
        packages: Installed without what they need.
        libraries: Installed with it.
        networks: In the order of the rows.
    """

    packages: tuple[str, ...]
    libraries: tuple[str, ...]
    networks: tuple[Network, ...]


def read_list(path: Path = LIST) -> Listed:
    """Read the list.

    Raises:
        ValueError: If a line is of no known kind.
    """
    lines = [[field.strip() for field in line.split(" | ")] for line in path.read_text().splitlines()]
    rows = [row for row in lines if row[0] and not row[0].startswith("#")]
    for row in rows:
        if row[0] not in ("package", "library", "file", "export"):
            raise ValueError(f"{path}: {row[0]!r} is neither package, library, file nor export.")
    return Listed(
        tuple(row[1] for row in rows if row[0] == "package"),
        tuple(row[1] for row in rows if row[0] == "library"),
        tuple(_network(row) for row in rows if row[0] in ("file", "export")),
    )


def _network(row: list[str]) -> Network:
    exporter = row[3] if row[0] == "export" else ""
    parts = [part.strip().partition("=") for part in row[-1].split(";")]
    return Network(row[1], row[2], exporter, {name: _samples(text) for name, _, text in parts})


def _samples(text: str) -> Samples:
    kind, _, rest = text.partition(" ")
    if kind == "constant":
        return Samples(kind, value=int(rest))
    return Samples(kind, tuple(int(size) for size in rest.split("x")))
