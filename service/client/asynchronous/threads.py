"""Work that would block the event loop, and waiting."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


async def in_thread(work: Callable[..., T], *arguments: Any) -> T:
    """Do the work in a thread."""
    return await asyncio.to_thread(work, *arguments)


async def sleep(seconds: float) -> None:
    """Wait."""
    await asyncio.sleep(seconds)
