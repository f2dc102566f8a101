"""Sending in the background of a server. Workers do not send: they need no way out of their network."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from service.store.db.engine import Database
from service.store.settings import Settings
from service.usecases.webhooks.egress import Egress
from service.usecases.webhooks.sending import BATCH, Sender

EVERY_S = 2.0
LEAVE_S = 5.0
_log = logging.getLogger(__name__)


@contextmanager
def sending(settings: Settings, database: Database) -> Iterator[None]:
    """Send what is due until the end of the block, if webhooks are switched on; any number of servers may do it."""
    if not settings.webhooks:
        yield
        return
    stopping = threading.Event()
    sender = Sender(database, Egress(networks=settings.webhook_networks))
    thread = threading.Thread(target=_repeat, args=(sender, stopping), name="webhooks", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        thread.join(LEAVE_S)  # what is cut off is sent again when its lease is over


def _repeat(sender: Sender, stopping: threading.Event) -> None:
    pause = 0.0
    while not stopping.wait(pause):
        pause = EVERY_S
        try:
            if sender.send_due() == BATCH:
                pause = 0.0
        except Exception as error:  # noqa: BLE001  # the next round tries again
            _log.warning("webhooks: %s: %s", type(error).__name__, error)
