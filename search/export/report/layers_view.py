"""Float against quantized, layer by layer, as the pages print it, from the value of ``layers.json``.

Two figures: SQNR, distance of the cosine from 1, and ranges against depth; and the histogram of one layer with its
scale and clip lines. Texts are made here; the script only places marks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from search.export.report import text
from search.export.report.charts import Chart, Table

_MEASURES = (("sqnr", "SQNR, dB"), ("cosine", "1 − cosine"), ("range", "Range of values"))


@dataclass(frozen=True, kw_only=True)
class Measure:
    """What is drawn against depth."""

    id: str
    label: str


@dataclass(frozen=True, kw_only=True)
class LayersView:
    """The two figures.

    Attributes:
        depth: Error and ranges against depth, with the table of all layers.
        histogram: One layer's values; its texts and table are filled in by the script.
        measures: What the first figure can draw.
        data: For the script.
    """

    depth: Chart
    histogram: Chart
    measures: tuple[Measure, ...]
    data: Mapping[str, Any]

    @property
    def chart_data(self) -> dict[str, Any]:
        """Chart id to what tells the script which kind it is."""
        return {chart.id: chart.data for chart in (self.depth, self.histogram)}


def layers_view(document: Mapping[str, Any], *, rows: int = 2000) -> LayersView:
    """Return the view of ``layers.json``; its table has at most ``rows`` rows."""
    layers = document["layers"]
    evaluator = {"integer": "the integer simulator", "fake_quant": "the Q/DQ model"}[document["evaluator"]]
    samples = text.plural(int(document["samples"]), "sample")
    told = f"{text.plural(len(layers), 'layer')} on {samples}, by {evaluator}."
    return LayersView(
        depth=Chart(
            id="layers-depth",
            label="layers",
            title="Float against quantized, layer by layer",
            summary=f"{text.sentence(document['summary'])} {told}",
            data={"kind": "layers-depth"},
            table=_table(layers, rows),
        ),
        histogram=Chart(
            id="layers-histogram",
            label="layer",
            title="Values of one layer",
            summary="Choose a layer above to see its values with the ends of what it can hold.",
            data={"kind": "layers-histogram"},
            table=Table(head=("From", "To", "Values"), rows=(), numeric=frozenset({0, 1, 2})),
        ),
        measures=tuple(Measure(id=key, label=label) for key, label in _MEASURES),
        data={"start": document["start"], "layers": _numbered([_layer(layer) for layer in layers])},
    )


def _layer(layer: Mapping[str, Any]) -> dict[str, Any]:
    histogram = layer["histogram"]
    return {
        "id": layer["id"],
        "name": text.clean(layer["op_name"]),
        "label": text.ending(layer["op_name"], 34),
        "format": layer["format"],
        "sqnr": _rounded(layer["sqnr_db"]),
        "rounding": _rounded(layer["rounding_db"]),
        "cosine": None if layer["cosine"] is None else _rounded(1 - layer["cosine"]),
        "float": _ends(layer["float"]),
        "quantized": _ends(layer["quantized"]),
        "clip": _ends(layer["clip"]),
        "clipText": None if layer["clip"] is None else [text.figure(end) for end in layer["clip"]],
        "hover": _hover(layer),
        "told": _told(layer),
        "bins": None
        if histogram is None
        else [_rounded(histogram["low"]), _rounded(histogram["high"]), _packed(histogram["counts"])],
    }


def _numbered(layers: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Give the further results of a group an id of their own: ``g3``, ``g3.1``."""
    seen: Counter[str] = Counter()
    for layer in layers:
        before = seen[layer["id"]]
        seen[layer["id"]] += 1
        layer["id"] += f".{before}" if before else ""
    return layers


def _packed(counts: Sequence[int]) -> list[int]:
    """Counts without the empty bins at the end."""
    last = max((index for index, count in enumerate(counts) if count), default=-1)
    return list(counts[: last + 1])


def _hover(layer: Mapping[str, Any]) -> list[str]:
    precision = f", group at {layer['precision']}" if layer["precision"] else ""
    ratio = layer["reason"] or f"SQNR {_db(layer['sqnr_db'])}, cosine {_cosine(layer['cosine'])}"
    return [
        text.clean(layer["op_name"], 90),
        f"{text.clean(layer['op_type'], 40)}, stored in {layer['format']}{precision}",
        text.sentence(ratio),
        f"float {_range(layer['float'])}, quantized {_range(layer['quantized'])}",
        *([f"{_clipped(layer)}"] if layer["clip"] else []),
    ]


def _told(layer: Mapping[str, Any]) -> str:
    """The sentence under a layer's histogram."""
    parts = [f"{text.clean(layer['op_type'], 40)}, stored in {layer['format']}"]
    if layer["scale"] is not None:
        zero = f", zero point {layer['zero_point']}" if layer["zero_point"] else ""
        parts.append(f"one step is {text.figure(layer['scale'])}{zero}")
    if layer["clip"] is not None:
        parts.append(f"it holds {_range(layer['clip'])}; {_clipped(layer)}")
    if layer["reason"]:
        parts.append(text.sentence(layer["reason"]))
    else:
        alone = f", {_db(layer['rounding_db'])} by its own rounding alone" if layer["rounding_db"] is not None else ""
        parts.append(f"SQNR {_db(layer['sqnr_db'])}{alone}")
    return "; ".join(parts) + "."


def _clipped(layer: Mapping[str, Any]) -> str:
    share = layer["clipped_share"]
    return "nothing is clipped" if not share else f"{_share(share)} of the float values are clipped"


def _share(share: float) -> str:
    return text.percent(share) if share >= 0.001 else f"{100 * share:.2g}\u00a0%"


def _table(layers: Sequence[Mapping[str, Any]], most: int) -> Table:
    rows = tuple(
        (
            str(layer["depth"]),
            text.clean(layer["op_name"]),
            text.clean(layer["op_type"], 40),
            layer["id"],
            layer["precision"] or text.MISSING,
            layer["format"],
            _db(layer["sqnr_db"]),
            _db(layer["rounding_db"]),
            _db(layer["fall_db"]),
            _cosine(layer["cosine"]),
            _range(layer["float"]),
            _range(layer["quantized"]),
            text.MISSING if layer["scale"] is None else text.figure(layer["scale"]),
            text.MISSING
            if layer["clipped_share"] is None
            else _share(layer["clipped_share"])
            if layer["clipped_share"]
            else "0",
            text.sentence(layer["reason"] or ""),
        )
        for layer in layers[:most]
    )
    left = len(layers) - len(rows)
    return Table(
        head=(
            *("Depth", "Layer", "Type", "Group", "Precision", "Format", "SQNR", "Rounding alone", "Fall", "Cosine"),
            *("Float", "Quantized", "Scale", "Clipped", "Why no ratio"),
        ),
        rows=rows,
        numeric=frozenset({0, 6, 7, 8, 9, 10, 11, 12, 13}),
        note=f"{text.plural(left, 'further layer')} in layers.csv." if left else "Every digit is in layers.csv.",
    )


def _db(value: float | None) -> str:
    return text.MISSING if value is None else f"{value:.1f} dB".replace("-", "\u2212")


def _cosine(value: float | None) -> str:
    return text.MISSING if value is None else f"{value:.5f}".replace("-", "\u2212")


def _range(ends: Sequence[float] | None) -> str:
    return text.MISSING if ends is None else f"{text.figure(ends[0])} to {text.figure(ends[1])}"


def _ends(ends: Sequence[float] | None) -> list[float | None] | None:
    return None if ends is None else [_rounded(end) for end in ends]


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.4g}")
