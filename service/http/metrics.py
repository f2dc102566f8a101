"""What Prometheus reads: counters of this process, and what the database says at the moment of reading.

Labels come from fixed sets only (methods, route templates, states): never an id, a name or a path as it was asked.
"""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from service.store.db import blobs, studies, workers
from service.store.db.durations import trial_durations
from service.store.db.engine import Database

UNMATCHED = "unmatched"
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_HTTP_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """Counters of one process with their registry."""

    def __init__(self, database: Database, *, dead_s: float) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "bitbudget_http_requests", "Requests answered.", ["method", "route", "status"], registry=self.registry
        )
        self.seconds = Histogram(
            "bitbudget_http_request_seconds",
            "Time from the request to the end of its answer.",
            ["method", "route"],
            registry=self.registry,
            buckets=_HTTP_BUCKETS,
        )
        self.uploaded = Counter("bitbudget_upload_bytes", "Bytes of finished uploads.", registry=self.registry)
        self.streams = Counter("bitbudget_event_streams", "Event streams that were opened.", registry=self.registry)
        self.registry.register(_FromDatabase(database, dead_s))

    def count(self, *, method: str, route: str, status: int, seconds: float) -> None:
        """Count an answered request."""
        named = method if method in METHODS else "other"
        self.requests.labels(named, route, str(status)).inc()
        self.seconds.labels(named, route).observe(seconds)

    def text(self) -> bytes:
        """Return everything in Prometheus' text format."""
        return generate_latest(self.registry)


class _FromDatabase(Collector):
    """Numbers that are the same whichever process is asked."""

    def __init__(self, database: Database, dead_s: float) -> None:
        self._database = database
        self._dead_s = dead_s

    def describe(self) -> Iterator[Metric]:
        """Nothing: registering must not ask the database."""
        yield from ()

    def collect(self) -> Iterator[Metric]:
        """Ask the database."""
        with self._database.reading() as connection:
            by_state = studies.count_by_state(connection)
            queue_age = studies.queue_age_s(connection)
            alive = len(workers.alive(connection, self._dead_s))
            stored = blobs.totals(connection)
            durations = trial_durations(connection)
        family = GaugeMetricFamily("bitbudget_studies", "Studies by state.", labels=["state"])
        for state, n in by_state.items():
            family.add_metric([state], n)
        yield family
        yield GaugeMetricFamily("bitbudget_queue_age_seconds", "Age of the oldest queued study.", value=queue_age)
        yield GaugeMetricFamily("bitbudget_workers", "Workers that give signs of life.", value=alive)
        size = GaugeMetricFamily("bitbudget_blob_bytes", "Bytes of blobs by state.", labels=["state"])
        for state, (_, n_bytes) in stored.items():
            size.add_metric([state], n_bytes)
        yield size
        yield HistogramMetricFamily(
            "bitbudget_trial_seconds",
            "Time of the trials in the database.",
            buckets=[(bound, float(n)) for bound, n in durations.buckets],
            sum_value=durations.total_s,
        )
