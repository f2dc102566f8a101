"""The text of API keys and session tokens.

    key = "bbk_" id "_" secret "_" checksum

``id`` (13 characters) may be shown and finds the key's row; ``secret`` is 160 random bits; ``checksum`` is the CRC-32
of everything before it: a mistyped key is refused without asking the database, and secret scanners can tell a key from
chance. Only the SHA-256 of the whole text is stored; the secret is random, so a slow hash would gain nothing.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
import zlib
from dataclasses import dataclass, field

_ID_BYTES, _SECRET_BYTES, _SESSION_BYTES = 8, 20, 32
_KEY = re.compile(r"(bbk_[a-z2-7]{13})_([a-z2-7]{32})_([0-9a-f]{8})", re.ASCII)
_SESSION = re.compile(r"bbs_[A-Za-z0-9_-]{43}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Token:
    """A key as it is shown once.

    Attributes:
        text: The whole key.
        prefix: The part that may be shown later.
        digest: SHA-256 of the text, for the database.
    """

    text: str = field(repr=False)
    prefix: str
    digest: str


def new_key() -> Token:
    """Make a key nobody has."""
    prefix = f"bbk_{_random(_ID_BYTES)}"
    body = f"{prefix}_{_random(_SECRET_BYTES)}"
    text = f"{body}_{_checksum(body)}"
    return Token(text, prefix, digest_of(text))


def read_key(text: str) -> Token | None:
    """Return the parts of a key; None if the text cannot be one."""
    found = _KEY.fullmatch(text)
    if found is None or not hmac.compare_digest(_checksum(f"{found[1]}_{found[2]}"), found[3]):
        return None
    return Token(text, found[1], digest_of(text))


def new_session() -> str:
    """Make the token of a login."""
    return f"bbs_{secrets.token_urlsafe(_SESSION_BYTES)}"


def is_session(text: str) -> bool:
    """Whether the text has the form of a session token."""
    return _SESSION.fullmatch(text) is not None


def digest_of(text: str) -> str:
    """SHA-256 of a token, as it is stored."""
    return hashlib.sha256(text.encode()).hexdigest()


def _random(n_bytes: int) -> str:
    return base64.b32encode(secrets.token_bytes(n_bytes)).decode().rstrip("=").lower()


def _checksum(body: str) -> str:
    return f"{zlib.crc32(body.encode()):08x}"
