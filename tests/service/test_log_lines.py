"""A line of the log is one JSON object: of a request, of what happens to a study, of a failure."""

from __future__ import annotations

import io
import json
import logging
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

from service.log_lines import REQUEST, JsonLines, begin_log, tell
from service.store.db import events, studies
from service.store.db.engine import Database
from tests.service.api.serving import Server, serving, submit
from tests.service.store.db.rows import study, tenant


class Lines:
    """What was written since."""

    def __init__(self, stream: io.StringIO) -> None:
        self._stream = stream

    def all(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self._stream.getvalue().splitlines()]

    def of(self, event: str) -> list[dict[str, Any]]:
        return [one for one in self.all() if one.get("event") == event]

    def the(self, event: str, **values: str) -> dict[str, Any]:
        """The one line with these values; it is written when the answer is out already."""
        deadline = time.monotonic() + 30
        while True:
            found = [one for one in self.of(event) if values.items() <= one.items()]
            if found or time.monotonic() > deadline:
                (line,) = found
                return line
            time.sleep(0.01)


@pytest.fixture
def lines() -> Iterator[Lines]:
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    stream = io.StringIO()
    begin_log("json", "debug", stream)
    yield Lines(stream)
    root.handlers[:] = before
    root.setLevel(level)


@pytest.fixture
def server(sqlite_database: Database, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(sqlite_database, tmp_path_factory.mktemp("server")) as found:
        yield found


def test_a_request_is_one_line_with_who_what_and_how_long(lines: Lines, server: Server) -> None:
    client = server.client("submit")
    made = submit(client)
    answer = client.get(f"/v1/studies/{made}?secret=hunter2", headers={"X-Request-ID": "job-1"})
    line = lines.the("request", request_id="job-1")
    assert (line["method"], line["route"], line["status"]) == ("GET", "/v1/studies/{study_id}", 200)
    assert (line["study"], line["tenant"], line["level"]) == (made, server.tenant(), "info")
    assert line["seconds"] >= 0
    assert line["actor"].startswith("bbk_")
    assert answer.headers["x-request-id"] == "job-1"
    assert "hunter2" not in json.dumps(lines.all())
    client.get("/nothing/here", headers={"X-Request-ID": "job-2"})
    lost = lines.the("request", request_id="job-2")
    assert (lost["route"], lost["status"], "study" in lost) == ("unmatched", 404, False)
    client.get("/livez")
    assert lines.the("request", route="/livez")["level"] == "debug"


def test_what_happens_to_a_study_is_a_line_of_the_request_that_did_it(lines: Lines, server: Server) -> None:
    client = server.client("submit")
    made = submit(client)
    client.post(f"/v1/studies/{made}/cancel", headers={"X-Request-ID": "end-it"})
    line = lines.the("study", request_id="end-it")
    assert (line["study"], line["tenant"], line["kind"]) == (made, server.tenant(), "state")
    assert line["state"] == "cancelled"


def test_an_event_that_was_not_committed_is_not_told(lines: Lines, sqlite_database: Database) -> None:
    with sqlite_database.writing() as connection:
        mine = study(connection, tenant(connection))
    given = {"study_id": mine.id, "tenant_id": mine.tenant_id}
    with suppress(LookupError), sqlite_database.writing() as connection:
        events.append(connection, **given, kind="phase", data={"phase": "lost"})
        raise LookupError
    with sqlite_database.writing() as connection:
        events.append(connection, **given, kind="phase", data={"phase": "search", "secret": "x", "cost": 1.5})
        events.append(connection, **given, kind="progress", data={"completed": 1})
        assert studies.load(connection, mine.id) is not None
        assert not [one for one in lines.of("study") if one["kind"] in ("phase", "progress")]
    told = [one for one in lines.of("study") if one["kind"] in ("phase", "progress")]
    assert [(one["kind"], one["level"], one.get("phase")) for one in told] == [
        ("phase", "info", "search"),
        ("progress", "debug", None),
    ]
    assert (told[0]["cost"], "secret" in told[0]) == (1.5, False)


def test_a_line_stays_one_line_whatever_is_in_it() -> None:
    token = REQUEST.set("r")
    try:
        raise ValueError("a\nb\ud800\x1b[31m")
    except ValueError:
        args = ("x", logging.ERROR, "", 0, 'told "%s"', ("c\r\nd\u2028",), sys.exc_info())
        text = JsonLines().format(logging.LogRecord(*args))
    finally:
        REQUEST.reset(token)
    assert (len(text.splitlines()), text.isascii()) == (1, True)
    line = json.loads(text)
    assert (line["level"], line["logger"], line["request_id"]) == ("error", "x", "r")
    assert line["message"] == 'told "c\r\nd\u2028"'
    assert "ValueError" in line["exception"]


def test_people_get_text_and_libraries_are_quiet() -> None:
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    stream = io.StringIO()
    stream.isatty = lambda: True  # type: ignore[method-assign]
    begin_log("auto", "info", stream)
    tell(logging.getLogger("y"), logging.INFO, "request", status=200, study=None)
    logging.getLogger("httpx").info("https://hook/secret")
    root.handlers[:] = before
    root.setLevel(level)
    assert stream.getvalue().rstrip().endswith("INFO y: request status=200")
    assert isinstance(JsonLines(), logging.Formatter)
