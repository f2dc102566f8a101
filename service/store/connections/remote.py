"""An S3-compatible store through fsspec, below one prefix of one bucket; needs ``bitbudget[s3]``.

Endpoint, bucket and credentials are the administrator's; only what follows the prefix is a user's text. It is given to
one file system that exists already, never to fsspec's parser of addresses, so no ``scheme://`` and no ``::`` is read.
"""

from __future__ import annotations

import importlib
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from service.store.connections.errors import ConnectionDownError, ConnectionInputError
from service.store.connections.place import Entry, checked, is_hidden
from service.store.settings import S3Connection

BLOCK = 8 * 2**20
CONNECT_S, READ_S, ATTEMPTS = 10, 60, 2
_log = logging.getLogger(__name__)


class RemotePlace:
    """Files of a file system below ``root``.

    Args:
        filesystem: An fsspec file system.
        root: Where its files are, without slashes at the ends.
    """

    def __init__(self, filesystem: Any, root: str) -> None:
        self._filesystem = filesystem
        self._root = root

    def entries(self, path: str) -> Iterator[Entry]:
        """Yield the file, or all files below the directory, by name; hidden ones are left out.

        Raises:
            ConnectionInputError: If there is none.
            ConnectionDownError: If the store does not answer.
        """
        place = self._place(path)
        with _asking(path):
            info = self._filesystem.info(place)
            found = None if info["type"] == "file" else dict(self._filesystem.find(place, detail=True))
        if found is None:
            yield Entry("", int(info["size"] or 0))
            return
        for name, one in sorted(found.items()):
            inner = str(name).lstrip("/").removeprefix(f"{place}/")
            if not inner or inner.endswith("/") or one["type"] != "file" or is_hidden(inner):
                continue  # an object that stands for a directory, this one or one below it
            if inner == str(name).lstrip("/"):
                continue  # what only begins like the directory
            checked(inner)
            yield Entry(inner, int(one["size"] or 0))

    def read(self, path: str) -> Iterator[bytes]:
        """Yield the bytes of a file.

        Raises:
            ConnectionInputError: If there is none.
            ConnectionDownError: If the store does not answer.
        """
        place = self._place(path)
        with _asking(path):
            file = self._filesystem.open(place, "rb", block_size=BLOCK)
        with file:
            while True:
                with _asking(path):
                    chunk = file.read(BLOCK)
                if not chunk:
                    return
                yield chunk

    def _place(self, path: str) -> str:
        return "/".join((self._root, *checked(path)))


def s3_place(connection: S3Connection) -> RemotePlace:
    """Open a bucket.

    Raises:
        ConnectionDownError: If the program was installed without S3.
    """
    try:
        s3fs = importlib.import_module("s3fs")
    except ImportError:
        raise ConnectionDownError("this worker was installed without S3; install bitbudget[s3]") from None
    key, secret = connection.access_key, connection.secret_key
    filesystem = s3fs.S3FileSystem(
        key=None if key is None else key.get_secret_value(),
        secret=None if secret is None else secret.get_secret_value(),
        endpoint_url=connection.endpoint,
        client_kwargs={} if connection.region is None else {"region_name": connection.region},
        config_kwargs={
            "connect_timeout": CONNECT_S,
            "read_timeout": READ_S,
            "retries": {"max_attempts": ATTEMPTS, "mode": "standard"},
            "proxies": {},  # those of the environment are not asked
        },
        use_listings_cache=False,
        skip_instance_cache=True,
    )
    prefix = connection.prefix.strip("/")
    return RemotePlace(filesystem, f"{connection.bucket}/{prefix}" if prefix else connection.bucket)


@contextmanager
def _asking(path: str) -> Iterator[None]:
    """One question to the store; its library may raise anything."""
    try:
        yield
    except FileNotFoundError:
        raise ConnectionInputError(f"There is no {path!r}.") from None
    except PermissionError:
        raise ConnectionInputError(f"{path!r} cannot be read: the store refuses it.") from None
    except Exception as error:
        _log.warning("a connection failed at %r: %s: %s", path, type(error).__name__, error)
        raise ConnectionDownError(f"the store failed at {path!r} ({type(error).__name__})") from error
