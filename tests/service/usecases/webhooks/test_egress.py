"""The way out: no private address in any form, one look at the name, no redirects, no proxies, a limit of time."""

from __future__ import annotations

import asyncio
import ipaddress
import shutil
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from service.usecases.webhooks.egress import BadAddressError, Egress, Ip, Reply

LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"),)
PUBLIC: Ip = ipaddress.ip_address("93.184.216.34")


class Receiver(BaseHTTPRequestHandler):
    """Answers by path."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.server.seen.append((self.path, self.headers, self.rfile.read(int(self.headers["Content-Length"]))))  # type: ignore[attr-defined]
        if self.path == "/slow":
            for byte in b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n":
                self.wfile.write(bytes([byte]))
                self.wfile.flush()
                time.sleep(0.05)
            return
        status = int(self.path[1:])
        self.send_response(status)
        if status == 302:
            self.send_header("Location", "/200")
        self.send_header("Content-Length", str(10**12))  # never sent, and never waited for
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        pass


class Listener(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Receiver)
        self.seen: list[tuple[str, object, bytes]] = []

    def handle_error(self, request: object, client_address: object) -> None:
        pass  # senders go away early


@pytest.fixture
def listener() -> Iterator[Listener]:
    server = Listener()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


def post(egress: Egress, url: str) -> Reply:
    return asyncio.run(egress.post(url, headers={"X": "y"}, body=b"{}"))


def answering(*found: Ip) -> object:
    async def resolve(host: str, port: int) -> Sequence[Ip]:
        return found

    return resolve


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "0.0.0.0",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "100.64.0.1",
        "169.254.169.254",
        "224.0.0.1",
        "255.255.255.255",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:a9fe:a9fe]",
        "[fd00:ec2::254]",
        "[fe80::1]",
        "[fec0::1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "[ff02::1]",
    ],
)
def test_no_private_address_in_whatever_form(host: str) -> None:
    with pytest.raises(BadAddressError, match=r"not a public address|Invalid IPv4 address"):
        Egress().check(f"https://{host}/x")
    assert post(Egress(), f"https://{host}/x").status is None


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "ftp://example.com/x",
        "gopher://example.com/",
        "http://example.com/x",
        "http://93.184.216.34/x",
        "//example.com/x",
        "https://",
        "https:///x",
        "https://user@example.com/",
        "https://user:word@example.com/",
        "https://example.com@127.0.0.1/",
        "https://example.com/#part",
        "https://example.com\\@127.0.0.1/",
        "https://exam ple.com/",
        "https://example.com/\r\nX: y",
        "https://exämple.com/",
        "https://example.com:0/",
        "https://example.com:99999/",
        "https://example.com/" + "x" * 2000,
    ],
)
def test_only_plain_https_addresses(url: str) -> None:
    with pytest.raises(BadAddressError):
        Egress().check(url)
    assert post(Egress(), url).status is None


def test_a_public_address_passes() -> None:
    for url in ("https://example.com/hook?x=1", "https://93.184.216.34:8443/", "https://[2606:4700::1111]/"):
        assert str(Egress().check(url)) == url


def test_a_name_with_one_private_address_is_refused() -> None:
    mixed = answering(PUBLIC, ipaddress.ip_address("10.0.0.1"))
    reply = post(Egress(resolve=mixed), "https://example.com/")  # type: ignore[arg-type]
    assert reply.error == (
        "the address leads to 10.0.0.1, which is not a public address; the administrator can allow networks"
    )
    nobody = post(Egress(resolve=answering()), "https://example.com/")  # type: ignore[arg-type]
    assert nobody.error == "the address has a name that nobody knows"


def test_the_name_is_resolved_once_and_the_connection_goes_to_that_address(listener: Listener) -> None:
    asked = []

    async def rebinding(host: str, port: int) -> Sequence[Ip]:
        asked.append(host)
        return [ipaddress.ip_address("127.0.0.1" if len(asked) == 1 else "127.0.0.9")]

    reply = post(Egress(LOOPBACK, resolve=rebinding), f"http://hook.example:{listener.server_port}/200")
    assert reply == Reply(200, None)
    assert asked == ["hook.example"]
    _, headers, body = listener.seen[0]
    assert headers["Host"] == f"hook.example:{listener.server_port}"  # type: ignore[index]
    assert body == b"{}"


def test_redirects_are_not_followed(listener: Listener) -> None:
    reply = post(Egress(LOOPBACK), f"http://127.0.0.1:{listener.server_port}/302")
    assert reply == Reply(302, "the receiver answered 302; redirects are not followed")
    assert [path for path, _, _ in listener.seen] == ["/302"]


def test_other_answers_are_failures(listener: Listener) -> None:
    reply = post(Egress(LOOPBACK), f"http://127.0.0.1:{listener.server_port}/503")
    assert reply == Reply(503, "the receiver answered 503")


def test_a_body_without_end_is_not_read(listener: Listener) -> None:
    begin = time.monotonic()
    assert post(Egress(LOOPBACK), f"http://127.0.0.1:{listener.server_port}/200") == Reply(200, None)
    assert time.monotonic() - begin < 5


def test_a_slow_answer_ends_with_the_limit_for_everything(listener: Listener) -> None:
    reply = post(Egress(LOOPBACK, timeout_s=0.5), f"http://127.0.0.1:{listener.server_port}/slow")
    assert reply == Reply(None, "no answer within 0.5 s")


def test_a_closed_port_is_a_failure_without_an_exception() -> None:
    reply = post(Egress(LOOPBACK), "http://127.0.0.1:9/200")
    assert reply.status is None
    assert str(reply.error).startswith("the connection failed: ConnectError")


def test_proxies_of_the_environment_are_ignored(listener: Listener, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert post(Egress(LOOPBACK), f"http://127.0.0.1:{listener.server_port}/200") == Reply(200, None)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="makes a certificate with openssl")
def test_the_certificate_must_be_that_of_the_name(listener: Listener, tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=hook.example"]
    names = ["-addext", "subjectAltName=DNS:hook.example"]
    subprocess.run([*command, *names, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate, key)
    listener.socket = server.wrap_socket(listener.socket, server_side=True)
    trusting = ssl.create_default_context(cafile=str(certificate))
    here = answering(ipaddress.ip_address("127.0.0.1"))
    egress = Egress(LOOPBACK, context=trusting, resolve=here)  # type: ignore[arg-type]
    assert post(egress, f"https://hook.example:{listener.server_port}/200") == Reply(200, None)
    other = post(egress, f"https://other.example:{listener.server_port}/200")
    assert "CERTIFICATE_VERIFY_FAILED" in str(other.error)
