from __future__ import annotations

import json

import pytest

from search.errors import InvalidDataError
from search.targets.fitting.measurement_files import Known, measurements_json, read_csv, read_measurements
from search.targets.fitting.mixes import mixes
from search.targets.rulebook import Rulebook
from tests.targets.fitting.chips import J6M, network, times

NET = network(0)
KNOWN = tuple(Known("net", NET, one) for one in mixes(Rulebook(NET, J6M), 6, seed=0))


def digest(i: int) -> str:
    return KNOWN[i].assignment.digest


def test_measurements_are_read_back_as_written():
    data = times(J6M, [NET, network(1)], n=5)
    text = measurements_json(data, target="j6m", measured_on="here", noise_floor=0.0123)
    found = read_measurements(json.loads(text), where="m.json")
    assert [(one.identity, one.samples) for one in found] == [(one.identity, one.samples) for one in data]
    assert [one.microseconds for one in found] == pytest.approx([one.microseconds for one in data], abs=1e-3)
    assert found[0].network == NET
    assert found[0].network is found[1].network


@pytest.mark.parametrize(
    "spoil",
    [
        lambda d: d.pop("networks"),
        lambda d: d["measured"][0].update(measured_us=-1),
        lambda d: d["measured"][0].update(measured_us="nan"),
        lambda d: d["measured"][0].update(model="other"),
        lambda d: d["measured"][0].update(assignment=["a8w8"]),
        lambda d: d["measured"][0].update(assignment=["int4"]),
        lambda d: d.update(measured=3),
        lambda d: d["networks"].update(net0=[]),
    ],
)
def test_spoiled_measurements_are_refused(spoil):
    document = json.loads(measurements_json(times(J6M, [NET], n=3), target="j6m", measured_on="", noise_floor=0.0))
    spoil(document)
    with pytest.raises(InvalidDataError, match=r"m\.json"):
        read_measurements(document, where="m.json")


def test_a_csv_names_assignments_by_digest():
    text = f"assignment,measured_us,samples\n{digest(0)},120.5,\n{digest(3)[:12]}, 240.0 ,4\n"
    first, second = read_csv(text, KNOWN, where="t.csv")
    assert (first.assignment, first.microseconds, first.samples) == (KNOWN[0].assignment, 120.5, 1)
    assert (second.assignment, second.microseconds, second.samples) == (KNOWN[3].assignment, 240.0, 4)
    assert first.network is NET


def test_the_header_may_be_written_as_in_the_documents():
    text = f"assignment digest, measured_us\n{digest(1)}, 3.5\n"
    assert read_csv(text, KNOWN, where="t.csv")[0].assignment == KNOWN[1].assignment


def test_the_model_decides_between_equal_digests():
    both = (*KNOWN, *(Known("twin", one.network, one.assignment) for one in KNOWN))
    row = f"{digest(0)},1.0"
    assert read_csv(f"assignment,measured_us,model\n{row},twin\n", both, where="t")[0].model == "twin"
    with pytest.raises(InvalidDataError, match="names 2 of the 12 known assignments"):
        read_csv(f"assignment,measured_us\n{row}\n", both, where="t")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "the columns are none"),
        ("digest,us\nx,1\n", "'assignment' \\(its digest\\) and 'measured_us' are needed"),
        ("assignment,measured_us\nffffffffffff,1\n", "line 2: 'ffffffffffff' names 0"),
        ("assignment,measured_us\n,1\n", "line 2: '' names 0"),
        (f"assignment,measured_us\n{digest(0)[:4]},1\n", "names 0 of the 6"),
        (f"assignment,measured_us\n{digest(0)},-4\n", "line 2: measured_us is '-4'"),
        (f"assignment,measured_us\n{digest(0)},fast\n", "measured_us is 'fast'"),
        (f"assignment,measured_us\n{digest(0)}\n", "measured_us is None"),
        (f"assignment,measured_us,samples\n{digest(0)},1,0\n", "samples is '0'"),
    ],
)
def test_wrong_lines_are_refused_with_their_number(text, told):
    with pytest.raises(InvalidDataError, match=told):
        read_csv(text, KNOWN, where="t.csv")
