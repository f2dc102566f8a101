"""Messages from the state of a study to the receiver, on both databases, with a clock of the test's own."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

from service.store.db import audit, deliveries, studies, webhooks
from service.store.db.deliveries import Delivery
from service.store.db.engine import Database
from service.store.db.schema import deliveries as delivery_table
from service.store.db.schema import studies as study_table
from service.store.db.webhooks import Webhook
from service.usecases.webhooks.egress import Egress, Reply
from service.usecases.webhooks.messages import DELAYS_S
from service.usecases.webhooks.sending import LEASE_S, Sender
from service.usecases.webhooks.signatures import new_secret
from tests.service.store.db.rows import set_back, study, tenant

DAY = 86400.0


@dataclass(frozen=True)
class Fake(Egress):
    """Receivers that answer as they are told."""

    replies: list[Reply] = field(default_factory=list)
    sent: list[tuple[str, Mapping[str, str], bytes]] = field(default_factory=list)

    async def post(self, text: str, *, headers: Mapping[str, str], body: bytes) -> Reply:
        self.sent.append((text, headers, body))
        return self.replies.pop(0) if self.replies else Reply(200, None)


DOWN = Reply(None, "the connection failed: ConnectError")


@pytest.fixture
def way() -> Fake:
    return Fake()


def sender(database: Database, way: Fake) -> Sender:
    return Sender(database, way, jitter=lambda: 0.0)


def webhook(database: Database, **changes: Any) -> Webhook:
    with database.writing() as connection:
        values = {"url": "https://example.com/hook", "secrets": [new_secret()], **changes}
        return webhooks.add(connection, tenant_id=tenant(connection), **values)


def log(database: Database, hook: Webhook) -> tuple[Delivery, ...]:
    with database.reading() as connection:
        return deliveries.page(connection, hook.tenant_id, hook.id).rows


def queue(database: Database, hook: Webhook) -> str:
    with database.writing() as connection:
        return deliveries.add(
            connection, webhook_id=hook.id, tenant_id=hook.tenant_id, kind="study.failed", payload={"id": "s"}
        )


def wait(database: Database, seconds: float) -> None:
    """Let time pass for messages that wait."""
    with database.writing() as connection:
        for row in connection.execute(delivery_table.select()).mappings().all():
            connection.execute(
                delivery_table.update()
                .where(delivery_table.c.id == row["id"])
                .values(due=row["due"] - timedelta(seconds=seconds))
            )


def test_every_state_of_a_study_is_told_to_those_who_want_it(database: Database, way: Fake) -> None:
    everything = webhook(database)
    some = webhook(database, kinds=["study.succeeded", "study.failed"])
    with database.writing() as connection:
        other = tenant(connection, "other")
        webhooks.add(connection, tenant_id=other, url="https://other.example/", secrets=[new_secret()])
        made = study(connection, tenant(connection), name="night run")
        studies.transition(connection, made.id, expect={"queued"}, to="running")
        changes = {"outcome": "met"}
        studies.transition(connection, made.id, expect={"running"}, to="succeeded", changes=changes)
    assert [one.kind for one in reversed(log(database, everything))] == [
        "study.queued",
        "study.running",
        "study.succeeded",
    ]
    (told,) = log(database, some)
    assert told.payload == {
        "id": made.id,
        "name": "night run",
        "state": "succeeded",
        "outcome": "met",
        "stopped": None,
        "target": "j6m",
        "version": 3,
        "error": None,
    }
    assert sender(database, way).send_due() == 4
    assert {url for url, _, _ in way.sent} == {"https://example.com/hook"}


def test_a_message_is_signed_and_recorded(database: Database, way: Fake) -> None:
    old, new = new_secret(), new_secret()
    hook = webhook(database, secrets=[new, old])
    queue(database, hook)
    assert sender(database, way).send_due() == 1
    (url, headers, body), (told,) = way.sent[0], log(database, hook)
    assert (url, told.state, told.status, told.attempts, told.error) == (hook.url, "delivered", 200, 1, None)
    assert told.finished is not None
    assert json.loads(body)["data"] == {"id": "s"}
    signed = f"{told.id}.{headers['webhook-timestamp']}.".encode() + body
    for secret, text in zip((new, old), headers["webhook-signature"].split(" "), strict=True):
        key = base64.b64decode(secret.removeprefix("whsec_"))
        assert text == "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
    assert sender(database, way).send_due() == 0


def test_a_receiver_that_is_down_is_tried_eight_times_over_a_day_then_by_hand(database: Database, way: Fake) -> None:
    hook = webhook(database)
    queue(database, hook)
    way.replies.extend([DOWN, Reply(503, "the receiver answered 503")] * 4)
    passed = 0.0
    for n, delay in enumerate((*DELAYS_S, None), start=1):
        assert sender(database, way).send_due() == 1
        (told,) = log(database, hook)
        assert told.attempts == n
        if delay is None:
            break
        assert told.state == "pending"
        assert sender(database, way).send_due() == 0  # not before it is due
        wait(database, delay - 2)
        assert sender(database, way).send_due() == 0
        wait(database, 2.1)
        passed += delay
    assert (told.state, told.status, told.error) == ("failed", 503, "the receiver answered 503")
    assert 23 * 3600 < passed < 25 * 3600
    wait(database, 10 * DAY)
    assert sender(database, way).send_due() == 0
    with database.writing() as connection:
        assert deliveries.again(connection, hook.tenant_id, told.id)
    assert sender(database, way).send_due() == 1
    assert log(database, hook)[0].state == "delivered"
    assert len({headers["webhook-id"] for _, headers, _ in way.sent}) == 1
    assert len({body for _, _, body in way.sent}) == 1
    assert len(way.sent) == 9


def test_a_receiver_down_for_an_hour_gets_everything(database: Database, way: Fake) -> None:
    hook = webhook(database)
    ids = {queue(database, hook) for _ in range(5)}
    for _ in range(6):
        way.replies[:] = [DOWN] * 5
        sender(database, way).send_due()
        wait(database, 600)
    way.replies.clear()
    wait(database, 7200)
    sender(database, way).send_due()
    assert {one.id for one in log(database, hook) if one.state == "delivered"} == ids


def test_a_sender_that_dies_leaves_its_messages_to_others(database: Database, way: Fake) -> None:
    hook = webhook(database)
    queue(database, hook)
    with database.writing() as connection:
        assert len(deliveries.take(connection, lease_s=LEASE_S)) == 1  # and never heard of again
    assert sender(database, way).send_due() == 0
    wait(database, LEASE_S)
    assert sender(database, way).send_due() == 1
    assert log(database, hook)[0].state == "delivered"


def test_gone_switches_the_webhook_off(database: Database, way: Fake) -> None:
    hook = webhook(database)
    first, second = queue(database, hook), queue(database, hook)
    way.replies.append(Reply(410, "the receiver answered 410"))
    way.replies.append(Reply(410, "the receiver answered 410"))
    sender(database, way).send_due()
    assert {one.id: one.state for one in log(database, hook)} == {first: "failed", second: "failed"}
    with database.reading() as connection:
        found = webhooks.get(connection, hook.tenant_id, hook.id)
        assert found is not None
        assert not found.active
        assert audit.page(connection, hook.tenant_id).rows[0].action == "webhook.gone"
    third = queue(database, hook)
    sender(database, way).send_due()
    assert next(one for one in log(database, hook) if one.id == third).error == "the webhook is switched off"
    assert len(way.sent) == 2


def test_what_waited_for_days_while_webhooks_were_off_is_not_sent(database: Database, way: Fake) -> None:
    hook = webhook(database)
    queue(database, hook)
    with database.writing() as connection:
        set_back(connection, delivery_table, "created", 4 * DAY)
    sender(database, way).send_due()
    (told,) = log(database, hook)
    assert (told.state, way.sent) == ("failed", [])
    assert "too old" in str(told.error)


def test_the_deletion_of_a_webhook_takes_its_messages_along(database: Database, way: Fake) -> None:
    hook = webhook(database)
    queue(database, hook)
    with database.writing() as connection:
        assert webhooks.delete(connection, hook.tenant_id, hook.id)
        study(connection, hook.tenant_id)
        assert connection.execute(study_table.select()).all()
    assert sender(database, way).send_due() == 0
