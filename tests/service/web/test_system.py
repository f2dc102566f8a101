"""The page of the server itself."""

from search.export.report import text
from service.store.db import tenants, workers
from service.web.frame import size
from tests.service.api.serving import Server, submit
from tests.service.web.reading import looking, read


def test_it_prints_what_the_interface_answers(server: Server) -> None:
    submit(server.client())
    with server.database.writing() as connection:
        workers.beat(connection, executor_id="w-1", host="machine", pid=4, version="v", slots=3)
    status = server.client().get("/v1/status").json()
    assert (status["studies"]["queued"], status["workers"], status["slots"]) == (1, 1, 3)
    page = read(looking(server), "/system")
    for told in ("Queued 1", "alive, 3 evaluations", size(status["disk_total_bytes"]), "w-1", "machine"):
        assert told in page.text, told


def test_single_workers_are_for_administrators(server: Server) -> None:
    with server.database.writing() as connection:
        workers.beat(connection, executor_id="w-1", host="machine", pid=4, version="v", slots=3)
    page = read(looking(server, "submit"), "/system")
    assert "w-1" not in page.text
    assert "shown to administrators" in page.text
    assert looking(server, tenant="other").get("/v1/status").json()["studies"]["queued"] == 0


def test_a_tenant_sees_its_own_part_of_the_line(server: Server) -> None:
    theirs = [submit(server.client(tenant="other")) for _ in range(3)]
    mine = submit(server.client())
    other, ours = server.tenant("other"), server.tenant()
    with server.database.writing() as connection:
        tenants.set_limits(connection, other, weight=2.5)
        tenants.set_limits(connection, ours, max_running=7, day_seconds=3600.0)
    page = read(looking(server), "/system").text
    for told in ("1 of 3.5", "0 of 7", text.seconds(3600.0), "2 before it", mine):
        assert told in page, told
    assert not any(one in page for one in theirs)
