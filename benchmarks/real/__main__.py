"""Networks as they are shipped and exported: ``python -m benchmarks.real [--only NAME ...] [--write FILE]``.

Each network of ``benchmarks/real_models.txt`` goes through ``check`` and ``search`` on each target, in processes of
their own with limits on time. Wanted in every row: an answer, or a refusal before anything was computed; and a
delivered file that a default session opens and that computes what was measured.
"""

from __future__ import annotations

import argparse
import json
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks.cases import markdown, stamp
from benchmarks.real.installing import install, make
from benchmarks.real.listing import Network, read_list
from benchmarks.real.rows import Row, run

TARGETS = ("j6m", "j6p", "ort-cpu")
FOLDER = Path("build/real")
HEAD = """# Networks as they are shipped and exported

{stamp}

The networks of [real_models.txt](real_models.txt): ONNX files that packages on PyPI ship, and architectures of
torchvision, timm and transformers from both exporters of PyTorch, with random weights unless the list says otherwise.
Samples are photographs, pages, recordings and texts that packages ship: {samples} to calibrate, {samples} to evaluate.
Goal: SQNR of at least 20 dB on every output; the search stops after {seconds} s.

*Cost* is an index: 1 is all-low. *Float compute* has no integer form on the target, as a share of
multiply-accumulates; *float tensors* are the values that groups write in float in the delivered file. *FE*: time of
the search over the time of one float evaluation. *Delivered* compares the SQNR of the delivered file in a default
session of ONNX Runtime, sample by sample, with the one that was measured. *Wrong* is what should not be.
"""


def rows(networks: Sequence[Network], targets: Sequence[str], models: Path, record: Path) -> Iterator[Row]:
    """Every row that is not recorded yet, recorded as it ends; each network on one target first, then on the next."""
    done = {(row.network, row.target) for row in recorded(record)}
    n = len(targets)
    pairs = [(one, targets[(k + shift) % n]) for shift in range(n) for k, one in enumerate(networks)]
    for network, target in pairs:
        if (network.name, target) not in done:
            row = run(network, target, models)
            with record.open("a") as file:
                file.write(json.dumps(asdict(row)) + "\n")
            yield row


def recorded(record: Path) -> list[Row]:
    """Rows of runs before."""
    return [Row(**json.loads(line)) for line in record.read_text().splitlines()] if record.exists() else []


def main() -> None:
    """Install, make, run, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--targets", nargs="*", default=list(TARGETS))
    parser.add_argument("--folder", type=Path, default=FOLDER, help="for environment, models and the record")
    parser.add_argument("--write", type=Path)
    parser.add_argument("--only-write", action="store_true", help="run nothing; the table of what is recorded")
    options = parser.parse_args()
    listed = read_list()
    networks = [one for one in listed.networks if not options.only or one.name in options.only]
    models, record = options.folder / "models", options.folder / "rows.jsonl"
    if not options.only_write:
        make(networks, install(listed, options.folder), models)
        for row in rows(networks, options.targets, models, record):
            print("  ".join(row.cells()), flush=True)
    order = [(one.name, target) for one in networks for target in options.targets]
    kept = sorted(
        (row for row in recorded(record) if (row.network, row.target) in order),
        key=lambda row: order.index((row.network, row.target)),
    )
    text = markdown([list(Row.HEAD), *(row.cells() for row in kept)])
    if options.write is not None:
        options.write.write_text(f"{head()}\n{text}\n{not_run(order, kept)}")


def not_run(order: Sequence[tuple[str, str]], kept: Sequence[Row]) -> str:
    """A line that names the rows which are missing; empty where none is."""
    done = {(row.network, row.target) for row in kept}
    missing = [f"{network} {target}" for network, target in order if (network, target) not in done]
    told = textwrap.fill(f"Not run, for want of time: {', '.join(missing)}.", 118)
    return f"\n{told}\n" if missing else ""


def head() -> str:
    """What stands above the table."""
    from benchmarks.real.installing import N_SAMPLES  # noqa: PLC0415
    from benchmarks.real.rows import SEARCH_S  # noqa: PLC0415

    return HEAD.format(stamp=stamp("make bench-real"), samples=N_SAMPLES, seconds=SEARCH_S)


if __name__ == "__main__":
    main()
