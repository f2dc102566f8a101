"""Identifiers that sort by the time they were made: UUID version 7 (RFC 9562).

48 bits milliseconds since 1970, 4 bits version, 12 random bits, 2 bits variant, 62 random bits.
"""

from __future__ import annotations

import secrets
import time
import uuid


def new_id() -> str:
    """Return a new identifier as text of 36 characters."""
    milliseconds = time.time_ns() // 1_000_000
    number = (milliseconds & (2**48 - 1)) << 80 | 0x7 << 76 | secrets.randbits(12) << 64 | 0b10 << 62
    return str(uuid.UUID(int=number | secrets.randbits(62)))


def is_id(text: str) -> bool:
    """Whether ``text`` could be one of ours; anything else need not be looked up."""
    try:
        return str(uuid.UUID(text)) == text
    except ValueError:
        return False
