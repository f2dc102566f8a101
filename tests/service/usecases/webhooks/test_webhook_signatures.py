"""Signatures against the published test vector, and bodies that are the same at every try."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime

from service.contract import EventKind
from service.store.db.deliveries import Delivery
from service.usecases.webhooks.messages import DELAYS_S, KINDS, TRIES, body_of, delay_s
from service.usecases.webhooks.signatures import KEY_BYTES, new_secret, signed_headers

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
BODY = b'{"test": 2432232314}'
ID, TIMESTAMP = "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def delivery(**changes: object) -> Delivery:
    moment = datetime(2026, 1, 2, 3, 4, 5, 678_900, UTC)
    values: dict[str, object] = {"id": "d", "webhook_id": "w", "tenant_id": "t", "kind": "study.failed"}
    values |= {"payload": {"name": "ü", "id": "s"}, "state": "pending", "attempts": 1, "status": None, "error": None}
    return Delivery(**{**values, "created": moment, "due": moment, "finished": None, **changes})  # type: ignore[arg-type]


def test_the_signature_is_that_of_the_published_vector() -> None:
    headers = signed_headers([SECRET], message_id=ID, timestamp=TIMESTAMP, body=BODY)
    assert headers == {"webhook-id": ID, "webhook-timestamp": str(TIMESTAMP), "webhook-signature": SIGNATURE}


def test_two_secrets_give_two_signatures_newest_first() -> None:
    other = new_secret()
    headers = signed_headers([other, SECRET], message_id=ID, timestamp=TIMESTAMP, body=BODY)
    first, second = headers["webhook-signature"].split(" ")
    assert second == SIGNATURE
    assert first.startswith("v1,")
    assert first != second


def test_secrets_are_long_and_differ() -> None:
    one, two = new_secret(), new_secret()
    assert one != two
    assert one.startswith("whsec_")
    assert len(base64.b64decode(one.removeprefix("whsec_"))) == KEY_BYTES


def test_a_body_depends_on_the_message_only() -> None:
    first = body_of(delivery())
    assert first == body_of(delivery(attempts=5, payload={"id": "s", "name": "ü"}))
    assert json.loads(first) == {
        "type": "study.failed",
        "timestamp": "2026-01-02T03:04:05.678Z",
        "data": {"id": "s", "name": "ü"},
    }


def test_there_are_eight_tries_over_about_a_day() -> None:
    assert TRIES == 8
    assert 23 * 3600 < sum(DELAYS_S) < 25 * 3600
    assert [delay_s(n) for n in range(1, 9)] == [*DELAYS_S, None]
    assert delay_s(9) is None  # one that was sent again by hand
    assert delay_s(2, jitter=1.0) == 330.0


def test_the_interface_takes_exactly_the_kinds_that_are_told() -> None:
    assert EventKind.__args__ == KINDS  # type: ignore[attr-defined]
