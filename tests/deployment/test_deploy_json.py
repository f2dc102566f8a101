"""deploy.json says everything, follows its committed schema, and is the same bytes every time."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path

import jsonschema
import pytest

from search import deployment as package
from search.deployment.document import DeployDocument, deploy_document, deploy_text
from search.deployment.gap import Gap
from search.deployment.schema import deploy_schema
from search.precision import Precision
from search.records.document import read
from tests.export.deployments import chain_deployment, residual_deployment

GAP = Gap(file="a.json", decision="method", subjects=("x",), effect="x is calibrated anew")


def test_the_committed_schema_is_that_of_the_records():
    stored = resources.files(package).joinpath("deploy.schema.json").read_text("utf-8")
    assert json.loads(stored) == deploy_schema()


@pytest.mark.parametrize("made", [residual_deployment(), chain_deployment([Precision.FP16, Precision.A16W16])])
def test_the_document_follows_the_schema_and_reads_back(made):
    document = json.loads(deploy_text(made, [GAP], command="run.yaml"))
    jsonschema.validate(document, deploy_schema())
    assert read(DeployDocument, document) == deploy_document(made, [GAP], command="run.yaml")


def test_a_key_too_many_is_refused_by_the_schema():
    document = json.loads(deploy_text(residual_deployment()))
    document["operators"][0]["speed"] = 3
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document, deploy_schema())


def test_every_node_has_a_precision_and_its_part():
    found = {one.name: one for one in deploy_document(residual_deployment()).operators}
    relu, add = found["/stem/act/Relu"], found["/block/block.0/Add"]
    assert (relu.role, relu.precision, relu.format) == ("fused", "a8w8", "int8")
    assert (add.role, add.precision, add.format) == ("fused", "a16w8", "int8")
    assert [(read.index, read.tensor, read.format) for read in add.reads] == [(1, "stem_out", "int8")]
    assert (relu.stored, found["/stem/conv/Conv"].stored) == ("int16", None)
    assert found["/head/layers.0/Gemm"].frozen


def test_tensors_constants_and_casts():
    document = deploy_document(residual_deployment(prescale={3: 2}))
    tensors = {one.name: one for one in document.tensors}
    stem = tensors["stem_out"]
    assert (stem.format, stem.grid.threshold, stem.grid.method) == ("int16", 2.0, "fixed")
    assert [form.format for form in stem.also] == ["int8"]
    assert (tensors["norm_out"].format, tensors["norm_out"].grid, tensors["norm_out"].prescale) == ("fp16", None, 2)
    weight = next(one for one in document.constants if one.name == "stem.w")
    assert (weight.axis, len(weight.scales), weight.format) == (0, 4, "int8")
    gamma = next(one for one in document.constants if one.name == "gamma")
    assert (gamma.format, gamma.scales) == ("fp16", ())
    assert ("stem_out", "/block/block.0/Add", "int16", "int8") in {
        (cast.tensor, cast.node, cast.stored, cast.read) for cast in document.casts
    }


def test_a_float_of_a_scale_reads_back_to_the_same_number(tmp_path: Path):
    made = residual_deployment()
    document = json.loads(deploy_text(made))
    for one, (tensor, fmt) in zip(document["tensors"], enumerate(made.placement.stored), strict=True):
        if fmt.is_integer:
            assert one["grid"]["scale"] == made.grid(tensor, fmt).scale
