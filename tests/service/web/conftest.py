"""Servers for the tests of the pages."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from search.graph.network import Group, Network
from search.graph.operators import OpClass
from service.store.db.engine import Database
from tests.service.api.serving import Server, serving


@pytest.fixture
def server(sqlite_database: Database, tmp_path: Path) -> Iterator[Server]:
    """A server on a SQLite file."""
    with serving(sqlite_database, tmp_path) as found:
        yield found


@pytest.fixture
def network_json() -> dict[str, object]:
    """A network of one convolution, as the check of a model describes it."""
    group = Group(
        name="stem/conv",
        op_type="Conv",
        op_class=OpClass.GEMM,
        nodes=("stem/conv",),
        inputs=(),
        outputs=(),
        macs=10,
        elements=1,
    )
    return Network(groups=(group,), tensors=(), constants=(), outputs=()).to_json()
