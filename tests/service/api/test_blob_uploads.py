"""Uploading and downloading bytes."""

import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from service.api.blobs import BLOCK
from service.store.db.engine import Database
from tests.service.api.serving import Server, serving, sha256


def files_in(server: Server) -> list[Path]:
    return [path for path in server.store.root.rglob("*") if path.is_file()]


def bytes_in(server: Server) -> int:
    """Bytes of the store now; a file may go while they are counted."""
    total = 0
    for path in server.store.root.rglob("*"):
        with suppress(FileNotFoundError):
            total += path.stat().st_size if path.is_file() else 0
    return total


class TestUpload:
    def test_bytes_under_their_digest_are_there_afterwards(self, both: Server) -> None:
        client, data = both.client(), bytes(range(256)) * 5000
        path = f"/v1/blobs/{sha256(data)}"
        assert client.head(path).status_code == 404
        answer = client.put(path, content=data)
        assert (answer.status_code, answer.json()["size"]) == (201, len(data))
        assert answer.headers["location"] == path
        assert client.put(path, content=data).status_code == 200
        head = client.head(path)
        assert (head.status_code, head.headers["content-length"]) == (200, str(len(data)))
        assert client.get(path).content == data

    def test_no_bytes_are_bytes_too(self, server: Server) -> None:
        client = server.client()
        path = f"/v1/blobs/{sha256(b'')}"
        assert client.put(path, content=b"").status_code == 201
        assert client.get(path).content == b""
        assert client.get(path, headers={"Range": "bytes=0-"}).status_code == 416

    def test_other_bytes_leave_nothing(self, server: Server) -> None:
        client = server.client()
        answer = client.put(f"/v1/blobs/{'0' * 64}", content=b"something else")
        assert (answer.status_code, answer.json()["code"]) == (422, "digest-mismatch")
        assert files_in(server) == []
        assert client.head(f"/v1/blobs/{'0' * 64}").status_code == 404

    @pytest.mark.parametrize("name", ["x", "0" * 63, "0" * 65, "A" * 64, "..%2f..%2fetc%2fpasswd", "%00" * 64])
    def test_an_address_that_is_no_digest_is_refused(self, server: Server, name: str) -> None:
        answer = server.client().put(f"/v1/blobs/{name}", content=b"")
        assert answer.status_code in (404, 422)
        assert files_in(server) == []

    def test_an_upload_that_breaks_off_leaves_nothing(self, server: Server) -> None:
        parts = urlsplit(server.url)
        head = (
            f"PUT /v1/blobs/{'0' * 64} HTTP/1.1\r\nHost: {parts.netloc}\r\nAuthorization: Bearer {server.key()}\r\n"
            "Content-Length: 1000000\r\n\r\n"
        )
        with socket.create_connection((parts.hostname, parts.port)) as connection:
            connection.sendall(head.encode() + b"x" * 500_000)
        client = server.client()
        for _ in range(100):
            assert client.get("/livez").status_code == 200
            if not files_in(server):
                break
        assert files_in(server) == []


class TestLimits:
    @pytest.fixture
    def small(self, sqlite_database: Database, tmp_path: Path) -> Iterator[Server]:
        limits = {"max_model_bytes": 1000, "max_dataset_bytes": 2000, "max_json_bytes": 500}
        with serving(sqlite_database, tmp_path, **limits) as found:
            yield found

    def test_an_announced_length_above_the_limit_is_refused_before_a_byte_is_read(self, small: Server) -> None:
        parts = urlsplit(small.url)
        head = (
            f"PUT /v1/blobs/{'0' * 64} HTTP/1.1\r\nHost: {parts.netloc}\r\nAuthorization: Bearer {small.key()}\r\n"
            "Content-Length: 3000\r\n\r\n"
        )
        with socket.create_connection((parts.hostname, parts.port), timeout=10) as connection:
            connection.sendall(head.encode())  # and not one byte of the body
            assert connection.recv(100).startswith(b"HTTP/1.1 413")

    def test_without_a_length_it_is_cut_off_at_the_limit(self, small: Server) -> None:
        def endless() -> Iterator[bytes]:
            for _ in range(100):
                yield b"x" * 100

        answer = small.client().put(f"/v1/blobs/{'0' * 64}", content=endless())
        assert (answer.status_code, answer.json()["code"]) == (413, "too-large")
        assert files_in(small) == []

    def test_json_has_its_own_limit(self, small: Server) -> None:
        client = small.client()
        for sent in (b"x" * 501, iter([b"x" * 300, b"x" * 300])):
            answer = client.post("/v1/studies", content=sent, headers={"Content-Type": "application/json"})
            assert (answer.status_code, answer.json()["code"]) == (413, "too-large")
            answer = client.post("/v1/keys", content=b"x" * 501, headers={"Content-Type": "application/json"})
            assert answer.status_code == 413

    def test_a_model_above_its_own_limit_cannot_be_used(self, small: Server) -> None:
        client, data = small.client(), b"x" * 1500
        assert client.put(f"/v1/blobs/{sha256(data)}", content=data).status_code == 201
        assert client.post("/v1/models", json={"digest": sha256(data)}).json()["code"] == "too-large"
        spec = {"model": f"sha256:{sha256(data)}", "data": {"calibration": "random"}, "target": {"name": "j6m"}}
        answer = client.post("/v1/studies", json=spec)
        assert answer.json()["pointers"] == [{"pointer": "/model", "message": "has 1500 bytes, the limit is 1000"}]


class TestQuota:
    """What arrives counts while it arrives: a tenant never has more on disk than its quota and one block."""

    QUOTA = 4 * BLOCK

    @pytest.fixture
    def narrow(self, sqlite_database: Database, tmp_path: Path) -> Iterator[Server]:
        with serving(sqlite_database, tmp_path, tenant_quota_bytes=self.QUOTA) as found:
            yield found

    def test_many_uploads_at_once_never_hold_more_than_the_quota(self, narrow: Server) -> None:
        clients = [narrow.client() for _ in range(8)]
        most = 0
        everyone_sends = threading.Barrier(len(clients))

        def bytes_of(number: int) -> Iterator[bytes]:
            nonlocal most
            for n in range(10):
                yield bytes([number]) * BLOCK
                if n == 0:
                    everyone_sends.wait(30)
                most = max(most, bytes_in(narrow))

        def send(number: int) -> int:
            digest = sha256(bytes([number]) * (10 * BLOCK))
            try:
                return clients[number].put(f"/v1/blobs/{digest}", content=bytes_of(number)).status_code
            except (httpx.WriteError, httpx.ReadError, httpx.RemoteProtocolError):
                return 0  # refused, and the connection closed, while it still sent

        with ThreadPoolExecutor(len(clients)) as threads:
            answers = set(threads.map(send, range(len(clients))))
        assert answers <= {0, 409, 507, 413}, answers
        assert 0 < most <= self.QUOTA + BLOCK
        assert files_in(narrow) == []

    def test_what_fits_is_taken_and_another_tenant_has_room_of_its_own(self, narrow: Server) -> None:
        data = b"x" * self.QUOTA
        for tenant in ("one", "two"):
            client = narrow.client(tenant=tenant)
            assert client.put(f"/v1/blobs/{sha256(data)}", content=data).status_code == 201
            answer = client.put(f"/v1/blobs/{sha256(b'y')}", content=iter([b"y"]))
            assert answer.json()["code"] == "over-quota"

    def test_a_full_tenant_may_send_a_blob_again_that_was_damaged(self, narrow: Server) -> None:
        data, client = b"x" * self.QUOTA, narrow.client()
        path = f"/v1/blobs/{sha256(data)}"
        client.put(path, content=data)
        (file,) = files_in(narrow)
        file.chmod(0o600)
        file.write_bytes(b"damaged")
        assert client.put(path, content=data).status_code == 200
        assert client.get(path).content == data


class TestDownload:
    DATA = bytes(range(256))

    @pytest.fixture
    def path(self, server: Server) -> str:
        path = f"/v1/blobs/{sha256(self.DATA)}"
        server.client().put(path, content=self.DATA)
        return path

    def test_it_is_an_attachment_no_browser_runs(self, server: Server, path: str) -> None:
        headers = server.client().get(path).headers
        assert headers["etag"] == f'"{sha256(self.DATA)}"'
        assert headers["content-disposition"].startswith("attachment; ")
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["content-security-policy"].startswith("sandbox; default-src 'none'")
        assert "immutable" in headers["cache-control"]
        assert headers["content-type"] == "application/octet-stream"

    @pytest.mark.parametrize(
        ("wanted", "first", "last"),
        [
            ("bytes=0-9", 0, 9),
            ("bytes=250-", 250, 255),
            ("bytes=-6", 250, 255),
            ("bytes=250-999", 250, 255),
            ("bytes=-999", 0, 255),
        ],
    )
    def test_one_range_is_served(self, server: Server, path: str, wanted: str, first: int, last: int) -> None:
        answer = server.client().get(path, headers={"Range": wanted})
        assert answer.status_code == 206
        assert answer.headers["content-range"] == f"bytes {first}-{last}/256"
        assert answer.content == self.DATA[first : last + 1]

    def test_a_range_behind_the_end_is_416_with_the_size(self, server: Server, path: str) -> None:
        answer = server.client().get(path, headers={"Range": "bytes=256-"})
        assert (answer.status_code, answer.headers["content-range"]) == (416, "bytes */256")

    @pytest.mark.parametrize(
        "wanted", ["bytes=0-1,2-3", "bytes=" + ",".join(["0-0"] * 8000), "lines=0-1", "bytes=-", "bytes=5-2", "x"]
    )
    def test_anything_else_is_answered_with_the_whole_file(self, server: Server, path: str, wanted: str) -> None:
        answer = server.client().get(path, headers={"Range": wanted})
        assert (answer.status_code, answer.content) == (200, self.DATA)

    def test_a_range_of_another_version_is_answered_with_the_whole_file(self, server: Server, path: str) -> None:
        client = server.client()
        tag = client.get(path).headers["etag"]
        assert client.get(path, headers={"Range": "bytes=0-1", "If-Range": tag}).status_code == 206
        assert client.get(path, headers={"Range": "bytes=0-1", "If-Range": '"old"'}).status_code == 200

    def test_what_the_caller_has_is_not_sent_again(self, server: Server, path: str) -> None:
        client = server.client()
        tag = client.get(path).headers["etag"]
        answer = client.get(path, headers={"If-None-Match": f'"x", {tag}'})
        assert (answer.status_code, answer.content) == (304, b"")

    def test_a_damaged_file_is_refused_without_telling_where_it_lies(self, server: Server, path: str) -> None:
        (file,) = files_in(server)
        file.chmod(0o600)
        file.write_bytes(b"short")
        answer = server.client().get(path)
        assert (answer.status_code, answer.json()["code"]) == (500, "internal-error")
        assert str(file.parent) not in answer.text
