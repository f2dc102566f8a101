"""Pages as a browser without scripts sees them."""

from __future__ import annotations

from html.parser import HTMLParser

import httpx

from tests.service.api.serving import Server

HTML = {"Accept": "text/html"}
VOID = frozenset({"meta", "link", "input", "br", "img", "hr"})


class Page(HTMLParser):
    """Elements with their attributes, text without scripts, and the JSON blocks."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.scripts: list[tuple[dict[str, str], str]] = []
        self._open: dict[str, str] | None = None
        self._texts: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.elements.append((tag, values))
        if tag in ("script", "style"):
            self._open = values

    def handle_endtag(self, tag: str) -> None:
        if tag in ("script", "style"):
            self._open = None

    def handle_data(self, data: str) -> None:
        if self._open is None:
            self._texts.append(data)
        else:
            self.scripts.append((self._open, data))

    @property
    def text(self) -> str:
        return " ".join(" ".join(self._texts).split())

    def values(self, name: str, tag: str | None = None) -> list[str]:
        return [values[name] for one, values in self.elements if name in values and tag in (None, one)]


def looking(server: Server, *scopes: str, tenant: str = "default") -> httpx.Client:
    """A person with a key in a browser."""
    key = server.key(*scopes, tenant=tenant)  # type: ignore[arg-type]
    return server.anonymous(headers={**HTML, "Authorization": f"Bearer {key}"})


def read(client: httpx.Client, path: str, *, status: int = 200) -> Page:
    answer = client.get(path)
    assert answer.status_code == status, answer.text[:500]
    assert answer.headers["content-type"].startswith("text/html")
    return Page(answer.text)
