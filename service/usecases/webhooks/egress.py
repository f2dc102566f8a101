"""Sending a request to an address that a user wrote down, without lending him the server's place in the network.

The name is resolved once, every address it has must be public (or in a network the administrator allows), and the
connection goes to the address that was checked: a second answer of the name server changes nothing. No redirects, no
proxies of the environment, no body read, one limit of time for everything.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import httpx

Ip: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network
Resolve: TypeAlias = Callable[[str, int], Awaitable[Sequence[Ip]]]

MAX_URL = 2000
TIMEOUT_S = 15.0
_PORTS = {"http": 80, "https": 443}
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


class BadAddressError(Exception):
    """An address that nothing is sent to; the message says why."""


@dataclass(frozen=True)
class Reply:
    """How a try ended.

    Attributes:
        status: HTTP status; None if there was no answer.
        error: What went wrong; None if the receiver has the message.
    """

    status: int | None
    error: str | None


@dataclass(frozen=True)
class Egress:
    """The way out.

    Attributes:
        networks: Private networks that may be reached, also without TLS.
        timeout_s: For one request, from the name to the answer's head.
        context: Which certificates are trusted; the usual ones if None.
        resolve: All addresses of a name; the system's resolver if None.
    """

    networks: tuple[Network, ...] = ()
    timeout_s: float = TIMEOUT_S
    context: ssl.SSLContext | None = None
    resolve: Resolve | None = None

    def check(self, text: str) -> httpx.URL:
        """Return the address if something may be sent there as far as its text tells.

        Raises:
            BadAddressError: If not.
        """
        url = _parse(text)
        literal = _literal(url.host)
        if literal is not None:
            self._check_ip(url, literal)
        elif url.scheme == "http" and not self.networks:
            raise BadAddressError("must begin with https://")
        return url

    async def post(self, text: str, *, headers: Mapping[str, str], body: bytes) -> Reply:
        """Send a request and return how that ended; never raises for what the other side does."""
        try:
            async with asyncio.timeout(self.timeout_s):
                return await self._post(text, headers, body)
        except TimeoutError:
            return Reply(None, f"no answer within {self.timeout_s:g} s")
        except BadAddressError as error:
            return Reply(None, f"the address {error}")
        except (httpx.HTTPError, httpx.InvalidURL, OSError, UnicodeError) as error:
            return Reply(None, f"the connection failed: {type(error).__name__}: {error}"[:500])

    async def _post(self, text: str, headers: Mapping[str, str], body: bytes) -> Reply:
        url = self.check(text)
        port = url.port or _PORTS[url.scheme]
        found = await (self.resolve or _resolve)(url.host, port)
        for ip in found:
            self._check_ip(url, ip)
        if not found:
            raise BadAddressError("has a name that nobody knows")
        pinned = url.copy_with(host=str(found[0]))
        verify = self.context or httpx.create_ssl_context()
        async with httpx.AsyncClient(verify=verify, trust_env=False, follow_redirects=False, timeout=None) as client:  # noqa: S113
            request = client.build_request(
                "POST",
                pinned,
                headers={**headers, "Host": url.netloc.decode("ascii")},
                content=body,
                extensions={"sni_hostname": url.host},
            )
            answer = await client.send(request, stream=True)
            await answer.aclose()
        return _reply(answer.status_code)

    def _check_ip(self, url: httpx.URL, ip: Ip) -> None:
        if any(
            each in network for each in _meanings(ip) for network in self.networks if each.version == network.version
        ):
            return
        if not all(_is_public(each) for each in _meanings(ip)):
            raise BadAddressError(f"leads to {ip}, which is not a public address; the administrator can allow networks")
        if url.scheme != "https":
            raise BadAddressError("must begin with https://")


def _reply(status: int) -> Reply:
    if 200 <= status < 300:
        return Reply(status, None)
    if 300 <= status < 400:
        return Reply(status, f"the receiver answered {status}; redirects are not followed")
    return Reply(status, f"the receiver answered {status}")


def _parse(text: str) -> httpx.URL:
    """One parser for the check and the request: two would disagree about some addresses."""
    if len(text) > MAX_URL or not text.isascii() or not text.isprintable() or "\\" in text or " " in text:
        raise BadAddressError(f"must be printable ASCII without spaces, at most {MAX_URL} characters")
    try:
        url = httpx.URL(text)
    except httpx.InvalidURL as error:
        raise BadAddressError(f"is not a URL: {error}") from None
    if url.scheme not in _PORTS:
        raise BadAddressError("must begin with https://")
    if not url.host or url.userinfo or "@" in url.netloc.decode("ascii", "replace") or "#" in text:
        raise BadAddressError("must have a host, no user name and no fragment")
    if url.port is not None and not 1 <= url.port <= 65535:
        raise BadAddressError("must have a port from 1 to 65535")
    return url


def _literal(host: str) -> Ip | None:
    """The address that a host is by itself, also in the old forms (``127.1``, ``0x7f000001``, ``2130706433``)."""
    try:
        return ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        pass
    try:
        return ipaddress.IPv4Address(socket.inet_aton(host))
    except (OSError, UnicodeError):
        return None


async def _resolve(host: str, port: int) -> Sequence[Ip]:
    literal = _literal(host)
    if literal is not None:
        return [literal]
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except socket.gaierror:
        return []
    return [ipaddress.ip_address(str(one[4][0]).partition("%")[0]) for one in found]


def _meanings(ip: Ip) -> Iterator[Ip]:
    """The address, and the IPv4 addresses that gateways on the way may make of it."""
    if isinstance(ip, ipaddress.IPv4Address):
        yield ip
        return
    if ip.ipv4_mapped is not None:
        yield ip.ipv4_mapped
        return
    yield ip
    if ip.sixtofour is not None:
        yield ip.sixtofour
    if ip.teredo is not None:
        yield ip.teredo[1]
    if ip in _NAT64:
        yield ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)


def _is_public(ip: Ip) -> bool:
    is_site_local = isinstance(ip, ipaddress.IPv6Address) and ip.is_site_local
    return ip.is_global and not ip.is_multicast and not ip.is_reserved and not is_site_local
