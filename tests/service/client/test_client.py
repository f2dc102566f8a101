"""The client reaches every route, is one source, imports little, and lets through what it does not know."""

from __future__ import annotations

import asyncio
import functools
import inspect
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from service.api.snapshot import snapshot
from service.client import AsyncClient, Client, blobs
from service.client.errors import ApiError, ForbiddenError, InvalidRequestError, ServerError, TemporaryError, error_of
from service.client.event_lines import EventLines
from service.client.files import place_in
from service.contract import Study, read

RESOURCES = ("studies", "blobs", "models", "datasets", "server", "keys", "webhooks", "operator")


@functools.cache
def operations() -> dict[tuple[str, str], str]:
    """Method and path template of every route to its name."""
    paths = json.loads(snapshot())["paths"]
    return {
        (method.upper(), path): found["operationId"] for path, one in paths.items() for method, found in one.items()
    }


def name_of(method: str, path: str) -> str | None:
    """The operation a request reaches."""
    for (wanted, template), name in operations().items():
        pattern = re.escape(template).replace(r"\{", "{").replace(r"\}", "}")
        pattern = re.sub(r"\{name\}", ".+", pattern) if "artifacts" in template else pattern
        if wanted == method and re.fullmatch(re.sub(r"\{[^}]*\}", "[^/]+", pattern), path):
            return name
    return None


class Recorder:
    """A server that grants everything and notes what was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        name = name_of(request.method, request.url.path)
        assert name is not None, f"{request.method} {request.url.path} is no route"
        self.asked.append(name)
        items = [{"name": "result.json", "digest": SHA_OF_NOTHING, "size": 0}] if name == "list_artifacts" else []
        document = {"items": items, "next": None, "state": "succeeded", "last": 0}
        body = b"" if name in ("get_artifact", "get_blob") else json.dumps(document).encode()
        missing = name == "head_blob"
        if request.method == "HEAD":
            return httpx.Response(404 if missing else 200, headers={"Content-Length": "1"})
        return httpx.Response(200, content=body)


SHA_OF_NOTHING = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def arguments(method: Callable[..., Any], folder: Path) -> dict[str, Any]:
    """Something to call a method with."""
    empty = folder / "empty"
    empty.write_bytes(b"")
    (folder / "out").mkdir(exist_ok=True)
    known = {
        "spec": {},
        "path": empty,
        "digest": SHA_OF_NOTHING,
        "target": folder / "target",
        "folder": folder / "out",
        "scopes": ["read"],
        "files": {},
        "no": 1,
    }
    parameters = inspect.signature(method).parameters.values()
    return {one.name: known.get(one.name, "x") for one in parameters if one.default is inspect.Parameter.empty}


def methods(client: Any) -> Iterator[Callable[..., Any]]:
    for resource in RESOURCES:
        for _, method in named_methods(getattr(client, resource)):
            yield method


def named_methods(resource: object) -> Iterator[tuple[str, Callable[..., Any]]]:
    for name, method in inspect.getmembers(resource, inspect.ismethod):
        if not name.startswith("_"):
            yield name, method


def test_every_route_is_reached_by_the_blocking_client(tmp_path: Path) -> None:
    recorder = Recorder()
    with Client("http://server", "key", transport=httpx.MockTransport(recorder)) as client:
        for method in methods(client):
            method(**arguments(method, tmp_path))
    assert set(recorder.asked) == set(operations().values())


def test_every_route_is_reached_by_the_asyncio_client(tmp_path: Path) -> None:
    recorder = Recorder()

    async def ask() -> None:
        async with AsyncClient("http://server", "key", transport=httpx.MockTransport(recorder)) as client:
            for method in methods(client):
                await method(**arguments(method, tmp_path))

    asyncio.run(ask())
    assert set(recorder.asked) == set(operations().values())


def test_both_clients_have_the_same_methods_with_the_same_parameters_and_texts() -> None:
    asynchronous = AsyncClient("http://server")
    with Client("http://server") as client:
        for resource in RESOURCES:
            own, of = (dict(named_methods(getattr(one, resource))) for one in (client, asynchronous))
            assert list(own) == list(of)
            for name, method in own.items():
                assert inspect.signature(method) == inspect.signature(of[name]), name
                assert inspect.getdoc(method) == inspect.getdoc(of[name]), name
    assert inspect.signature(Client) == inspect.signature(AsyncClient)


def test_the_import_loads_neither_onnx_nor_the_server() -> None:
    heavy = ("onnx", "numpy", "search.spec", "fastapi", "sqlalchemy", "pydantic", "yaml", "service.app")
    code = f"import sys, service.client; print([one for one in {heavy} if one in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_client_stands_on_httpx_and_the_contract_alone() -> None:
    folder = Path(blobs.__file__).parent
    source = "".join(path.read_text() for place in (folder, folder.parent / "contract") for path in place.glob("*.py"))
    found = set(re.findall(r"^(?:from|import) (\w+(?:\.\w+)?)", source, re.MULTILINE))
    others = {name for name in found if name.partition(".")[0] not in sys.stdlib_module_names}
    assert others == {"httpx", "search.records", "service.client", "service.contract"}


def test_an_import_loads_no_more_modules_than_httpx_and_a_few() -> None:
    code = "import sys, httpx; before = len(sys.modules); import service.client; print(len(sys.modules) - before)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 120  # the event loop of asyncio is most of it


def test_states_of_a_newer_server_do_not_raise() -> None:
    study = read(Study, {"id": "1", "state": "hibernating", "phase": "zzz", "outcome": "perhaps", "new": [1]})
    assert (study.state, study.phase, study.outcome) == ("hibernating", "zzz", "perhaps")
    assert study.raw["new"] == [1]
    assert not study.is_terminal
    assert study.priority is None  # missing
    assert read(Study, {"state": "evaporated", "finished": "2026-01-01T00:00:00Z"}).is_terminal
    assert read(Study, {"finished": "next week"}).finished is None


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (403, ForbiddenError),
        (418, InvalidRequestError),
        (429, TemporaryError),
        (500, ServerError),
        (503, TemporaryError),
    ],
)
def test_every_refusal_has_its_error(status: int, kind: type[ApiError]) -> None:
    document = {"code": "c", "detail": "d.", "hint": "h.", "pointers": [{"pointer": "/a", "message": "m"}]}
    error = error_of(status, json.dumps(document).encode())
    assert type(error) is kind
    assert str(error) == "d. h."
    assert error.pointers == {"/a": "m"}
    assert "<html>" in str(error_of(status, b"<html> proxy </html>"))
    assert str(error_of(status, b"")) != ""


def test_events_are_read_from_lines() -> None:
    lines = EventLines()
    text = 'retry: 1000\n\n: alive\n\nid: 7\nevent: trial\ndata: {"no":\ndata: 1}\n\n'
    text += "id: x\ndata: {}\n\ndata: {}\n\nid: 8\ndata: [\n\n"
    found = [event for line in text.split("\n") if (event := lines.add(line)) is not None]
    assert [(one.id, one.kind, one.data) for one in found] == [(7, "trial", {"no": 1})]


@pytest.mark.parametrize("name", ["../x", "/x", "a/../x", "a//b", "", "a\\b", "."])
def test_files_the_server_names_stay_below_the_folder(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no relative path"):
        place_in(tmp_path, name)
    assert place_in(tmp_path, "a/b") == tmp_path / "a" / "b"
