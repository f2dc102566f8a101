"""When the same request is sent again: after ``min(largest, first * 2**n) * random(0.5, 1)`` or what Retry-After says.

A request that changes something is sent again only if it surely had no effect, or if having it twice changes nothing.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from service.client.errors import ClientError, TemporaryError, UnreachableError

REFUSED = frozenset({429, 503, 507})
"""The server did nothing."""


@dataclass(frozen=True, kw_only=True)
class Retries:
    """How long to go on.

    Attributes:
        outage_s: No new attempt begins so long after the first one.
        first_s: Mean delay before the second attempt, about.
        largest_s: Largest delay.
    """

    outage_s: float = 30.0
    first_s: float = 0.2
    largest_s: float = 5.0

    def delay(self, attempt: int, error: ClientError) -> float:
        """Seconds to wait after attempt number ``attempt`` (from 0)."""
        if isinstance(error, TemporaryError) and error.retry_after_s is not None:
            return float(error.retry_after_s)
        most: float = min(self.largest_s, self.first_s * 2.0 ** min(attempt, 30))
        return most * random.uniform(0.5, 1.0)  # noqa: S311  # spreads clients, keeps no secret


NO_RETRIES = Retries(outage_s=0.0)


def may_repeat(error: ClientError, *, repeatable: bool, was_sent: bool) -> bool:
    """Whether a request may be sent again.

    Args:
        error: What came of it.
        repeatable: Whether having it twice is the same as having it once.
        was_sent: Whether the server may have seen it.
    """
    if isinstance(error, UnreachableError):
        return repeatable or not was_sent
    if isinstance(error, TemporaryError):
        return repeatable or error.status in REFUSED
    return False
