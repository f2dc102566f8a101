"""Command, machine and date of a run; a run that computes nothing anew keeps those of the result it prints again."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from search.study.provenance import Circumstances
from service.machine import described, processor


def circumstances(result: Path, seconds: float, command: str | None) -> Circumstances:
    """Return what the result says of how it was made.

    Args:
        result: ``result.json`` of an earlier sitting, if there is one.
        seconds: Search time over all sittings.
        command: What was typed.
    """
    before = _before(result)
    if before is not None and before.get("seconds") == round(seconds, 3) and before.get("date"):
        return Circumstances(
            command=before.get("command"),
            machine=str(before.get("machine")),
            date=before["date"],
            job=before.get("job"),
        )
    return Circumstances(
        command=command, machine=described(processor()), date=datetime.now(UTC).isoformat(timespec="seconds")
    )


def _before(result: Path) -> dict[str, Any] | None:
    try:
        found = json.loads(result.read_text(encoding="utf-8")).get("provenance")
    except (OSError, ValueError, AttributeError):
        return None
    return found if isinstance(found, dict) else None
