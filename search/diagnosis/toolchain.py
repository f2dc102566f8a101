"""Whether a result was made for the tool-chain of today."""

from __future__ import annotations

from collections.abc import Iterator

from search.records.finding import Finding
from search.targets.target import Target
from search.targets.toolchain import parse_version


def toolchain_findings(target: Target) -> Iterator[Finding]:
    """One finding where the rules are those of a tool-chain older than the one the target assumes."""
    used, current = target.toolchain, target.toolchain_default
    if used is None or current is None or parse_version(used) >= parse_version(current):
        return
    yield Finding(
        code="old-toolchain",
        severity="warning",
        message=f"The rules are those of tool-chain {used}; {current} is the current one of {target.name}. What fell "
        "back to int8 then may not today, and 16 bit on both sides of a gemm may be allowed.",
        advice="Leave out target.toolchain unless this version is the one that compiles the model.",
        evidence={"toolchain": used, "current": current},
    )
