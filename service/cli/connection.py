"""Which server a command asks, and with which key: options, else the environment, else this machine.

BITBUDGET_URL   BITBUDGET_API_KEY | BITBUDGET_API_KEY_FILE   BITBUDGET_CA_BUNDLE
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from search.errors import UsageError
from service.client import Client
from service.client.retries import Retries

DEFAULT_URL = "http://127.0.0.1:8000"
UrlOption: TypeAlias = Annotated[
    str | None, typer.Option("--url", help=f"Server; BITBUDGET_URL, else {DEFAULT_URL}.", show_default=False)
]
KeyFileOption: TypeAlias = Annotated[
    Path | None,
    typer.Option("--api-key-file", help="File with the API key; else BITBUDGET_API_KEY or BITBUDGET_API_KEY_FILE."),
]


def connect(url: str | None, key_file: Path | None, *, retries: Retries | None = None) -> Client:
    """Return a client of the server that is meant.

    Raises:
        UsageError: If a file that is named cannot be read, or the address is none.
    """
    environment = os.environ
    address = url or environment.get("BITBUDGET_URL") or DEFAULT_URL
    if not address.startswith(("http://", "https://")):
        raise UsageError(f"The server {address!r} must begin with http:// or https://.")
    bundle = environment.get("BITBUDGET_CA_BUNDLE") or None
    if bundle is not None and not Path(bundle).is_file():
        raise UsageError(f"BITBUDGET_CA_BUNDLE names {bundle!r}, which is no file.")
    return Client(address, read_key(key_file, environment), retries=retries, ca_bundle=bundle)


def read_key(key_file: Path | None, environment: Mapping[str, str]) -> str | None:
    """Return the key to send; None to send none.

    Raises:
        UsageError: If it cannot be read, or cannot be sent.
    """
    named = key_file or environment.get("BITBUDGET_API_KEY_FILE") or None
    if key_file is None and environment.get("BITBUDGET_API_KEY"):
        text = environment["BITBUDGET_API_KEY"]
    elif named is not None:
        text = _read(Path(named))
    else:
        return None
    key = text.strip()
    if not (key.isascii() and key.isprintable() and key) or " " in key:
        raise UsageError("The API key must be one word of plain characters, as 'bitbudget keys create' printed it.")
    return key


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"The API key file {str(path)!r} cannot be read: {error}.") from None
