"""Chips that a study can be for."""

from __future__ import annotations

from dataclasses import dataclass

from service.contract.message import Answer, Values


@dataclass(frozen=True, kw_only=True)
class TargetLine(Answer):
    """A chip as a list shows it."""

    name: str
    title: str
    march: str | None
    toolchain_default: str | None


@dataclass(frozen=True, kw_only=True)
class TargetRules(TargetLine):
    """A chip with its rules, as docs/targets.md describes them."""

    document: Values
