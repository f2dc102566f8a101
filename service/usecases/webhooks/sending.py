"""Sending messages that are due: taken with a lease, tried, recorded. Any number of processes may do it at once.

A process that dies in between leaves a message that is sent again when its lease is over: a receiver may get a message
twice, never not at all. Both have the same ``webhook-id``.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable, Sequence

from service.store.db import audit, deliveries, webhooks
from service.store.db.deliveries import Delivery
from service.store.db.engine import Database
from service.store.db.webhooks import Webhook
from service.usecases.webhooks.egress import Egress, Reply
from service.usecases.webhooks.messages import body_of, delay_s
from service.usecases.webhooks.signatures import signed_headers

BATCH = 20
LEASE_S = 120.0
STALE_S = 3 * 86400.0
"""A message whose first try comes so late, because nothing was sent for days, is not sent any more."""
GONE = 410
_OFF = Reply(None, "the webhook is switched off")
_STALE = Reply(None, "the message was too old when webhooks were sent again")
_log = logging.getLogger(__name__)


class Sender:
    """Sends what is due.

    Args:
        database: Where messages wait.
        egress: The way out.
        clock: Seconds since 1970 UTC; receivers compare it with theirs.
        jitter: From -1 to 1.
    """

    def __init__(
        self,
        database: Database,
        egress: Egress,
        *,
        clock: Callable[[], float] = time.time,
        jitter: Callable[[], float] = lambda: random.uniform(-1, 1),  # noqa: S311  # spreads load, hides nothing
    ) -> None:
        self._database = database
        self._egress = egress
        self._clock = clock
        self._jitter = jitter

    def send_due(self) -> int:
        """Try up to ``BATCH`` messages once, all at the same time; return how many there were."""
        with self._database.writing() as connection:
            taken = deliveries.take(connection, lease_s=LEASE_S, limit=BATCH)
        if not taken:
            return 0
        with self._database.reading() as connection:
            receivers = {one.id: webhooks.get(connection, one.tenant_id, one.webhook_id) for one in taken}
        for delivery, reply in zip(taken, asyncio.run(self._send(taken, receivers)), strict=True):
            self._record(delivery, reply)
        return len(taken)

    async def _send(self, taken: Sequence[Delivery], receivers: dict[str, Webhook | None]) -> list[Reply]:
        return await asyncio.gather(*(self._try(one, receivers[one.id]) for one in taken))

    async def _try(self, delivery: Delivery, receiver: Webhook | None) -> Reply:
        if receiver is None or not receiver.active:
            return _OFF
        moment = self._clock()
        if delivery.attempts == 1 and moment - delivery.created.timestamp() > STALE_S:
            return _STALE
        body = body_of(delivery)
        proof = signed_headers(receiver.secrets, message_id=delivery.id, timestamp=int(moment), body=body)
        headers = {"Content-Type": "application/json", "User-Agent": "bitbudget-webhooks/1", **proof}
        return await self._egress.post(receiver.url, headers=headers, body=body)

    def _record(self, delivery: Delivery, reply: Reply) -> None:
        with self._database.writing() as connection:
            if reply.error is None and reply.status is not None:
                deliveries.done(connection, delivery.id, reply.status)
                return
            is_final = reply in (_OFF, _STALE) or reply.status == GONE
            wait = None if is_final else delay_s(delivery.attempts, jitter=self._jitter())
            error = reply.error or "no answer"
            deliveries.failed(connection, delivery.id, retry_in_s=wait, error=error, status=reply.status)
            if reply.status == GONE:
                webhooks.update(connection, delivery.tenant_id, delivery.webhook_id, active=False)
                audit.add(
                    connection,
                    actor="webhooks",
                    action="webhook.gone",
                    tenant_id=delivery.tenant_id,
                    object=delivery.webhook_id,
                )
        _log.info("message %s to webhook %s: %s", delivery.id, delivery.webhook_id, reply.error)
