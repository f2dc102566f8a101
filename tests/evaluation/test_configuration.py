from __future__ import annotations

import json
from dataclasses import replace

import pytest

from search.assignment import Assignment
from search.encoding import decoded, encoded
from search.evaluation.configuration import Calibration, Configuration, Treatment
from search.precision import Precision

BASE = Configuration(
    Assignment((Precision.A8W8, Precision.INT16)),
    Calibration(blob="abc", method_8="mse", method_16="min_max", samples=64),
    Treatment(prescale={3: 2}, ranges={1: (-0.5, 2.0)}),
)


def test_a_configuration_survives_json():
    again = decoded(Configuration, json.loads(json.dumps(encoded(BASE))))
    assert again == BASE
    assert again.digest == BASE.digest


@pytest.mark.parametrize(
    "other",
    [
        replace(BASE, effective=Assignment((Precision.A8W8, Precision.INT8))),
        replace(BASE, calibration=replace(BASE.calibration, blob="abd")),
        replace(BASE, calibration=replace(BASE.calibration, method_8="kl")),
        replace(BASE, calibration=replace(BASE.calibration, method_16="kl")),
        replace(BASE, calibration=replace(BASE.calibration, samples=32)),
        replace(BASE, treatment=Treatment(prescale={3: 1}, ranges={1: (-0.5, 2.0)})),
        replace(BASE, treatment=Treatment(prescale={3: 2}, ranges={1: (-0.5, 2.5)})),
    ],
)
def test_whatever_changes_the_model_changes_the_digest(other):
    assert other.digest != BASE.digest


def test_the_order_of_treatments_does_not_count():
    one = replace(BASE, treatment=Treatment(prescale={1: 2, 2: 3}))
    two = replace(BASE, treatment=Treatment(prescale={2: 3, 1: 2}))
    assert one.digest == two.digest
