"""Signatures of messages as Standard Webhooks 1 has them: the receiver knows who sent a message, and when.

    signature = "v1," + base64(HMAC-SHA256(key, "<webhook-id>.<webhook-timestamp>.<body>"))

A secret is ``whsec_`` and the base64 of its key. While a secret is changed there are two, and a signature of each.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets as random_source
from collections.abc import Mapping, Sequence

PREFIX = "whsec_"
KEY_BYTES = 32


def new_secret() -> str:
    """Return a secret that nobody knows yet."""
    return PREFIX + base64.b64encode(random_source.token_bytes(KEY_BYTES)).decode()


def signed_headers(secrets: Sequence[str], *, message_id: str, timestamp: int, body: bytes) -> Mapping[str, str]:
    """Return the headers that prove a message.

    Args:
        secrets: Those that are valid, newest first.
        message_id: The same over all tries, so that the receiver can tell a repetition.
        timestamp: Of this try, in seconds since 1970 UTC; receivers refuse what is older than five minutes.
        body: As it is sent.
    """
    signed = f"{message_id}.{timestamp}.".encode() + body
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(f"v1,{_signature(secret, signed)}" for secret in secrets),
    }


def _signature(secret: str, signed: bytes) -> str:
    key = base64.b64decode(secret.removeprefix(PREFIX))
    return base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
