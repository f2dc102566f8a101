"""Work that may block, and waiting."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


def in_thread(work: Callable[..., T], *arguments: Any) -> T:
    """Do the work here."""
    return work(*arguments)


def sleep(seconds: float) -> None:
    """Wait."""
    time.sleep(seconds)
