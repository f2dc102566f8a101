"""Models and data sets made to break whoever opens them; each with the answer it must get."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

USER = ("invalid-model", "unsupported-model", "invalid-data", "invalid-spec")
LIMIT = ("wall-limit", "cpu-limit", "memory-limit")
DIED = ("evaluator-died",)
ANY = (*USER, *LIMIT)
"""Where the runtime's own refusal and a limit race."""

Content = bytes | Callable[[], bytes]
"""Bytes, or what makes them where they are many."""


@dataclass(frozen=True)
class Attack:
    """One hostile input.

    Attributes:
        name: Number of the case, and what it is.
        codes: Failures of the study that are right; none: it is harmless and must succeed.
        words: Text the message must hold.
        model: Replaces the model.
        evaluation: Replaces the evaluation data.
        files: Files of a directory instead, by relative path.
        external: External data of the model by relative path.
        spec: Further keys of the job.
        refused: Code with which the server must refuse it before there is a study.
    """

    name: str
    codes: tuple[str, ...]
    words: str = ""
    model: Content | None = None
    evaluation: Content | None = None
    files: Mapping[str, bytes] | None = None
    external: Mapping[str, bytes] = field(default_factory=dict)
    spec: Mapping[str, Any] = field(default_factory=dict)
    refused: str | None = None

    def blames(self, code: str) -> str:
        """Who must act when it fails with ``code``."""
        return "limit" if code in LIMIT else "user"


def bytes_of(content: Content) -> bytes:
    """The bytes."""
    return content if isinstance(content, bytes) else content()
