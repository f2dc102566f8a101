"""How often early rejection of a metric of records is wrong: ``python -m benchmarks.record_rejection``.

500 random orders of every population that is exactly at its limit; every rejection is a wrong one.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tests.metrics.record_populations import populations, rejections

REDRAWS = 500
PAGE = Path(__file__).with_suffix(".md")


def main() -> int:
    """Print the table, write the page; 1 where a population is rejected in more than 5 %."""
    rows, worst = [], 0.0
    for population in populations():
        wrong, _ = rejections(population, redraws=REDRAWS)
        right, saved = rejections(population, redraws=20, beyond=0.1)
        worst = max(worst, wrong)
        rows.append(f"| {population.name} | {100 * wrong:.1f} % | {100 * right:.0f} % | {100 * saved:.0f} % |")
        print(rows[-1], flush=True)
    PAGE.write_text(TEXT + "\n".join(rows) + "\n")
    return int(worst > 0.05)


TEXT = """# Early rejection of metrics of records

`python -m benchmarks.record_rejection`. Populations of 2,000 records with a value that is no mean of them. *Wrongly
rejected*: of 500 random orders of a candidate that is exactly at its limit; the bound is 5 %. *Rejected* and *saved*:
of 20 orders where the limit is 0.1 above what the candidate reaches, and the share of samples that did not run. How:
[numerics](../docs/numerics.md#records).

| value | wrongly rejected | rejected 0.1 beyond | saved |
|---|---|---|---|
"""

if __name__ == "__main__":
    sys.exit(main())
