"""The benchmark of ranking samples runs on the example."""

from __future__ import annotations

from benchmarks.ranking import COUNTS, report
from tests.docs.pages import ROOT


def test_the_ranking_benchmark_prints_a_correlation_per_count(capsys):
    report(ROOT / "examples" / "digits" / "job.yaml")
    head, *lines = capsys.readouterr().out.splitlines()
    assert "36 points" in head
    assert [int(line.split()[0]) for line in lines] == list(COUNTS)
    assert all(0.5 < float(line.split()[-1]) <= 1 for line in lines)
