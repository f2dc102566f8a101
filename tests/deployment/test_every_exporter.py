"""Every exporter against every decision a search can make: the file says it, or a gap of that file does.

A decision is two deployments that differ in nothing else. A file carries it if its content differs between the two.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from search.assignment import Assignment
from search.deployment.deployment import Deployment, GroupPin, Observation, OutputForm
from search.export.files import export_files
from search.precision import Precision
from search.quant.grid import grid_from_scale, grid_from_threshold
from tests.export.deployments import F16, F32, I8, I16, residual_deployment

BASE = residual_deployment(
    observations={
        (t, bits): Observation(method="kl" if bits == 8 else "min_max") for t in range(6) for bits in (8, 16)
    },
    pins={},
)
FILES = (
    "deploy.json",
    "ort_overrides.json",
    "horizon/quant_config.json",
    "horizon/quant_config_load.json",
    "horizon/qconfig_setter.py",
    "horizon/qconfig_setter_legacy.py",
)
SCALES_ALONE = "the scale is what counts, and the file states it whatever it comes from"
NOT_A_SCALE = "thresholds come with horizon/model.qdq.onnx, which this file goes with"
FINAL = "nothing changes the entries of this file afterwards"
NEEDLESS = {
    ("ort_overrides.json", "method"): SCALES_ALONE,
    ("ort_overrides.json", "fixed-range"): SCALES_ALONE,
    ("ort_overrides.json", "pin"): FINAL,
    ("horizon/quant_config.json", "pin"): FINAL,
    ("horizon/quant_config_load.json", "pin"): FINAL,
    ("horizon/quant_config_load.json", "threshold"): NOT_A_SCALE,
    ("horizon/quant_config_load.json", "method"): NOT_A_SCALE,
    ("horizon/quant_config_load.json", "fixed-range"): NOT_A_SCALE,
    ("horizon/quant_config_load.json", "input"): NOT_A_SCALE,
    ("horizon/quant_config.json", "threshold"): "it calibrates by the method that gave the threshold",
    ("horizon/qconfig_setter.py", "method"): SCALES_ALONE,
    ("horizon/qconfig_setter_legacy.py", "method"): "its thresholds are a gap of their own",
}
"""Where a file need not say a decision, and why."""


def precision(made: Deployment) -> Deployment:
    effective = Assignment((*made.effective.precisions[:2], Precision.INT16, *made.effective.precisions[3:]))
    placement = replace(
        made.placement,
        stored=(I8, I16, I16, I16, I16, F32),
        read=((I8,), (I16, I8), (I16,), (I16, I8), (I16,)),
    )
    return replace(made, effective=effective, placement=placement)


def side(made: Deployment) -> Deployment:
    effective = Assignment((*made.effective.precisions[:3], Precision.A8W16, Precision.A16W16))
    read = ((I8,), (I16, I8), (F16,), (I8, I16), (I16,))
    return replace(made, effective=effective, placement=replace(made.placement, read=read))


def threshold(made: Deployment) -> Deployment:
    return replace(made, grids={**made.grids, (1, 16): grid_from_threshold(7.5, 16), (0, 8): grid_from_threshold(7, 8)})


def method(made: Deployment) -> Deployment:
    return replace(made, observations={**made.observations, (0, 8): Observation(method="mse")})


def fixed_range(made: Deployment) -> Deployment:
    return replace(made, observations={**made.observations, (1, 16): Observation(method="fixed", fixed=True)})


def prescale(made: Deployment) -> Deployment:
    return replace(made, prescale={3: 4})


def output(made: Deployment) -> Deployment:
    placement = replace(made.placement, stored=(*made.placement.stored[:5], I16))
    return replace(made, placement=placement, outputs={"logits": OutputForm(dtype="int16", scale=0.1, zero_point=0)})


def unquantized_input(made: Deployment) -> Deployment:
    grids = {**made.grids, (0, 8): grid_from_scale(1.0, 0, 8, True)}
    observations = {**made.observations, (0, 8): Observation(method="fixed", fixed=True)}
    return replace(made, grids=grids, observations=observations)


def summed_input(made: Deployment) -> Deployment:
    read = ((I8,), (I16, I16), (F16,), (I16, I8), (I16,))
    return replace(made, placement=replace(made.placement, read=read))


def pin(made: Deployment) -> Deployment:
    return replace(made, pins={4: GroupPin(match="head.*", freeze=True)})


DECISIONS = {
    "precision": precision,
    "side": side,
    "threshold": threshold,
    "method": method,
    "fixed-range": fixed_range,
    "pre-scale": prescale,
    "output": output,
    "input": unquantized_input,
    "summed-input": summed_input,
    "pin": pin,
}
ALSO = {"input": {"fixed-range"}, "pre-scale": {"precision"}, "threshold": {"fixed-range"}}
"""Kinds of gap that also say a decision: an input that is not quantized has a stated range of whole numbers."""


@pytest.mark.parametrize("decision", DECISIONS)
@pytest.mark.parametrize("file", FILES)
def test_a_decision_is_in_the_file_or_among_its_gaps(file, decision):
    without, with_it = export_files(BASE), export_files(DECISIONS[decision](BASE))
    assert not without.missing
    assert not with_it.missing
    carried = without.files[file] != with_it.files[file]
    kinds = {gap.decision for gap in with_it.gaps if gap.file == file}
    stated = bool(kinds & {decision, *ALSO.get(decision, ())})
    assert carried or stated or (file, decision) in NEEDLESS


@pytest.mark.parametrize(("file", "decision"), NEEDLESS)
def test_no_exception_is_for_nothing(file, decision):
    without, with_it = export_files(BASE), export_files(DECISIONS[decision](BASE))
    gaps = {gap.decision for gap in with_it.gaps if gap.file == file} - {gap.decision for gap in without.gaps}
    assert without.files[file] == with_it.files[file]
    assert decision not in gaps


def test_deploy_json_holds_every_decision():
    contents = {export_files(change(BASE)).files["deploy.json"] for change in DECISIONS.values()}
    assert len(contents | {export_files(BASE).files["deploy.json"]}) == len(DECISIONS) + 1


def test_every_gap_is_in_deploy_json_and_on_the_page_of_the_folder():
    exported = export_files(prescale(fixed_range(method(BASE))))
    assert exported.gaps
    for gap in exported.gaps:
        assert gap.effect in exported.files["deploy.json"].decode()
        if gap.file.startswith("horizon/"):
            assert gap.effect in exported.files["horizon/README.md"].decode()
