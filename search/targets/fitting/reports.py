"""Reports of the Journey 6 tools: ``hbm_perf`` JSON and the profiler log of ``hrt_model_exec perf``.

``hbm_perf``: ``summary.performance["latency (us)"]`` is the time, ``summary["model info"]`` counts multiply-accumulates
by format, ``summary["DDR access data"]`` bytes. The profiler log is two JSON blocks separated by ``***``; the first has
``perf_result.average_latency`` in milliseconds.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from search.errors import InvalidDataError

_MACS = {
    "double int8 macs": "a8w8",
    "feature int16 weight int8 macs": "a16w8",
    "feature int8 weight int16 macs": "a8w16",
    "double int16 macs": "a16w16",
}
_BYTES = ("loaded bytes per run", "stored bytes per run")
_NUMBER = re.compile(r"[-+]?\d[\d,]*(?:\.\d+)?(?:[eE][-+]?\d+)?")


@dataclass(frozen=True, kw_only=True)
class Report:
    """One measured (or compiled) model.

    Attributes:
        microseconds: Time of one run.
        macs: Precision to multiply-accumulates of one run; empty where the report has none.
        ddr_bytes: Bytes loaded and stored by one run, None where the report has none.
        march: Architecture it was compiled for, None where it does not say.
        name: Name of the model, empty where it does not say.
    """

    microseconds: float
    macs: Mapping[str, int] = field(default_factory=dict)
    ddr_bytes: int | None = None
    march: str | None = None
    name: str = ""

    @property
    def sums(self) -> dict[str, int]:
        """Work by path of the coefficient, what the report itself says."""
        found = {f"relative_rate.{precision}": macs for precision, macs in self.macs.items() if macs}
        return found | ({"bytes_per_s": self.ddr_bytes} if self.ddr_bytes else {})


def parse_report(text: str, *, where: str) -> Report:
    """Read either format.

    Args:
        text: Content of the file.
        where: Its name, for messages.

    Raises:
        InvalidDataError: If it is neither, or has no time.
    """
    blocks = [_json(block, where) for block in text.split("***") if block.strip()]
    merged: dict[str, Any] = {}
    for block in blocks:
        merged |= block
    if isinstance(merged.get("summary"), dict):
        return _hbm_perf(merged["summary"], where)
    if isinstance(merged.get("perf_result"), dict):
        return _profiler(merged, where)
    raise InvalidDataError(
        f"{where}: neither an hbm_perf report (no 'summary') nor a profiler log (no 'perf_result'). "
        "Give what hbm_perf or hrt_model_exec perf wrote."
    )


def _json(block: str, where: str) -> dict[str, Any]:
    try:
        value = json.loads(block.strip().strip("*"))
    except (ValueError, RecursionError) as error:
        raise InvalidDataError(f"{where}: not JSON ({error}). Give the report as the tool wrote it.") from None
    if not isinstance(value, dict):
        raise InvalidDataError(f"{where}: a JSON object is expected, got {type(value).__name__}.")
    return value


def _hbm_perf(summary: Mapping[str, Any], where: str) -> Report:
    performance = _table(summary, "performance")
    latency = _number(performance.get("latency (us)"))
    if latency is None and (milliseconds := _number(performance.get("latency (ms)"))) is not None:
        latency = 1000 * milliseconds
    info, access = _table(summary, "model info"), _table(summary, "DDR access data")
    counts = {precision: _number(info.get(key)) for key, precision in _MACS.items()}
    moved = [_number(access.get(key)) for key in _BYTES]
    march = info.get("BPU march")
    return Report(
        microseconds=_positive(latency, where, "summary.performance['latency (us)']"),
        macs={precision: int(macs) for precision, macs in counts.items() if macs is not None},
        ddr_bytes=None if None in moved else int(sum(value or 0 for value in moved)),
        march=march if isinstance(march, str) else None,
    )


def _profiler(merged: Mapping[str, Any], where: str) -> Report:
    latency = _number(_table(merged, "perf_result").get("average_latency"))
    name = _table(merged, "running_condition").get("model_name")
    return Report(
        microseconds=_positive(None if latency is None else 1000 * latency, where, "perf_result.average_latency"),
        name=name if isinstance(name, str) else "",
    )


def _table(value: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = value.get(key)
    return found if isinstance(found, dict) else {}


def _number(value: object) -> float | None:
    """A number, or the first one of a text like ``59 us (8.2% of model)``."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return float(value)
    match = _NUMBER.search(value) if isinstance(value, str) else None
    return None if match is None else float(match.group().replace(",", ""))


def _positive(value: float | None, where: str, key: str) -> float:
    if value is None or not 0 < value < float("inf"):
        raise InvalidDataError(f"{where}: {key} is {value}; a positive time is needed. Is this a report of a full run?")
    return value
