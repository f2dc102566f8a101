"""An S3-compatible store behind a connection: a small one on this machine answers the real client."""

from __future__ import annotations

import re
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

import pytest

from service.store.connections.errors import ConnectionDownError, ConnectionInputError
from service.store.connections.fetching import open_place
from service.store.connections.place import Entry
from service.store.connections.remote import RemotePlace, s3_place
from service.store.settings import S3Connection

FILES = {
    "team/net.onnx": b"model" * 4_000_000,
    "team/set/x/0.npy": b"00",
    "team/set/labels.csv": b"a",
    "team/set/.hidden": b"z",
    "team/settings/other.npy": b"not of the set",
    "secret/net.onnx": b"secret",
}


class Bucket(BaseHTTPRequestHandler):
    """The four requests that reading needs."""

    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self._answer(head=True)

    def do_GET(self) -> None:
        self._answer(head=False)

    def _answer(self, *, head: bool) -> None:
        parts = urlsplit(self.path)
        _, bucket, key = (*unquote(parts.path).split("/", 2), "")[:3]
        self.server.asked.append((bucket, key, self.headers["Authorization"] or ""))  # type: ignore[attr-defined]
        if self.server.broken:  # type: ignore[attr-defined]
            self._send(503, b"<Error><Code>SlowDown</Code></Error>", head=head)
        elif not key:
            self._send(200, _listing(bucket, parse_qs(parts.query)), head=head)
        elif key not in FILES:
            self._send(404, b"<Error><Code>NoSuchKey</Code></Error>", head=head)
        else:
            self._file(FILES[key], head=head)

    def _file(self, data: bytes, *, head: bool) -> None:
        found = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers["Range"] or "")
        if found is None:
            self._send(200, data, head=head)
            return
        first, last = int(found[1]), int(found[2] or len(data) - 1)
        last = min(last, len(data) - 1)
        self._send(206, data[first : last + 1], head=head, range_=f"bytes {first}-{last}/{len(data)}")

    def _send(self, status: int, body: bytes, *, head: bool, range_: str = "") -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", '"x"')
        self.send_header("Last-Modified", "Thu, 01 Jan 2026 00:00:00 GMT")
        if range_:
            self.send_header("Content-Range", range_)
        self.end_headers()
        if not head:
            self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        pass


def _listing(bucket: str, query: dict[str, list[str]]) -> bytes:
    prefix, delimiter = query.get("prefix", [""])[0], query.get("delimiter", [""])[0]
    files, folders = [], set()
    for key in sorted(FILES):
        if bucket != "lab" or not key.startswith(prefix):
            continue
        inner = key[len(prefix) :]
        if delimiter and delimiter in inner:
            folders.add(prefix + inner.split(delimiter)[0] + delimiter)
        else:
            files.append(key)
    most = int(query.get("max-keys", ["1000"])[0])
    rows = "".join(
        f"<Contents><Key>{escape(key)}</Key><Size>{len(FILES[key])}</Size><ETag>x</ETag>"
        "<LastModified>2026-01-01T00:00:00.000Z</LastModified><StorageClass>STANDARD</StorageClass></Contents>"
        for key in files[:most]
    )
    rows += "".join(f"<CommonPrefixes><Prefix>{escape(one)}</Prefix></CommonPrefixes>" for one in sorted(folders))
    n = len(files[:most]) + len(folders)
    return (
        f'<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>{bucket}</Name>'
        f"<KeyCount>{n}</KeyCount><MaxKeys>{most}</MaxKeys><IsTruncated>false</IsTruncated>{rows}</ListBucketResult>"
    ).encode()


class Store(ThreadingHTTPServer):
    daemon_threads = True
    asked: list[tuple[str, str, str]]
    broken = False

    def handle_error(self, request: object, client_address: object) -> None:
        pass


@pytest.fixture
def store() -> Iterator[Store]:
    server = Store(("127.0.0.1", 0), Bucket)
    server.asked = []
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def place(store: Store) -> RemotePlace:
    pytest.importorskip("s3fs")
    setting = S3Connection.model_validate(
        {
            "kind": "s3",
            "bucket": "lab",
            "prefix": "/team/",
            "endpoint": f"http://127.0.0.1:{store.server_port}",
            "region": "eu-central-1",
            "access_key": "AKIA",
            "secret_key": "hunter2",
        }
    )
    found = open_place(setting)
    assert isinstance(found, RemotePlace)
    return found


def test_files_and_directories_are_listed_and_read(place: RemotePlace, store: Store) -> None:
    assert list(place.entries("net.onnx")) == [Entry("", 20_000_000)]
    assert list(place.entries("set")) == [Entry("labels.csv", 1), Entry("x/0.npy", 2)]
    assert b"".join(place.read("net.onnx")) == FILES["team/net.onnx"]
    assert b"".join(place.read("set/x/0.npy")) == b"00"
    assert {bucket for bucket, _, _ in store.asked} == {"lab"}
    assert all(authorization.startswith("AWS4-HMAC-SHA256 Credential=AKIA/") for _, _, authorization in store.asked)
    assert all(key == "" or key.startswith("team/") for _, key, _ in store.asked)


@pytest.mark.parametrize(
    "path", ["../secret/net.onnx", "s3://secret/net.onnx", "zip::net.onnx", "/secret/net.onnx", "a//b", ""]
)
def test_nothing_outside_the_prefix_is_asked_for(place: RemotePlace, store: Store, path: str) -> None:
    with pytest.raises(ConnectionInputError, match="of a connection must"):
        list(place.entries(path))
    with pytest.raises(ConnectionInputError, match="of a connection must"):
        list(place.read(path))
    assert store.asked == []


def test_what_is_not_there_is_said(place: RemotePlace) -> None:
    with pytest.raises(ConnectionInputError, match=r"There is no 'nothing'"):
        list(place.entries("nothing"))


def test_a_store_that_fails_is_down(place: RemotePlace, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.broken = True
    place._filesystem.retries = 1
    with pytest.raises(ConnectionDownError, match="the store failed at 'net") as caught:
        list(place.entries("net.onnx"))
    assert "hunter2" not in str(caught.value)


def test_proxies_of_the_environment_are_ignored(place: RemotePlace, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert list(place.entries("set/labels.csv")) == [Entry("", 1)]


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "s3fs", None)
    with pytest.raises(ConnectionDownError, match=r"install bitbudget\[s3\]"):
        s3_place(S3Connection(kind="s3", bucket="lab"))
