"""What is sent: ``{"type": ..., "timestamp": ..., "data": {...}}``, the same bytes at every try, and when tries follow.

8 tries over about 24 hours: at once, then after 5 s, 5 min, 30 min, 2 h, 5 h, 8 h and 8 h.
"""

from __future__ import annotations

import json
from datetime import UTC

from service.store.db.deliveries import Delivery
from service.store.db.schema import STUDY_STATES

TEST = "webhook.test"
QUOTA = "storage.quota"
KINDS = (*(f"study.{state}" for state in STUDY_STATES), "study.deleted", QUOTA, TEST)
"""Everything that is told; receivers must ignore kinds they do not know."""

DELAYS_S = (5.0, 300.0, 1800.0, 7200.0, 18000.0, 28800.0, 28800.0)
TRIES = len(DELAYS_S) + 1


def body_of(delivery: Delivery) -> bytes:
    """Return the body of a message."""
    document = {
        "type": delivery.kind,
        "timestamp": delivery.created.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "data": dict(delivery.payload),
    }
    return json.dumps(document, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


def delay_s(attempts: int, *, jitter: float = 0.0) -> float | None:
    """Seconds to wait after so many failed tries; None = that was the last.

    Args:
        attempts: Tries so far, at least 1.
        jitter: From -1 to 1; moves the wait by up to a tenth, so that receivers are not met by all at once.
    """
    return DELAYS_S[attempts - 1] * (1 + 0.1 * jitter) if attempts <= len(DELAYS_S) else None
