from __future__ import annotations

import csv
import io

from hypothesis import given
from hypothesis import strategies as st

from search.export.csv_text import csv_bytes
from search.export.files import evidence_files, export_files
from search.export.qconfig_table import COLUMNS, qconfig_csv
from search.export.sensitivity_table import SensitivityLine, sensitivity_csv
from search.export.trials_table import trials_csv
from search.records.trial import Estimate
from tests.export.deployments import residual_deployment
from tests.trial_rows import trial_record


def read(data: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(data.decode(), newline="")))


@given(st.text())
def test_no_cell_can_start_a_formula(text):
    (row,) = list(csv.reader(io.StringIO(csv_bytes(["cell", "end"], [[text, "x"]]).decode(), newline="")))[1:]
    assert not row[0].startswith(("=", "+", "-", "@", "\t", "\r"))
    assert row[0].removeprefix("'") == text.removeprefix("'") or "\\ud" in row[0]


def test_numbers_are_not_marked_as_text():
    assert csv_bytes(["a"], [[-1.5], [3], [True], [None], ["-x"]]) == b'a\r\n-1.5\r\n3\r\nyes\r\n""\r\n\'-x\r\n'


def test_every_operator_has_a_row_with_formats_and_scales():
    deployment = residual_deployment()
    data = qconfig_csv(deployment)
    rows = {row["name"]: row for row in read(data)}
    assert tuple(rows["image"]) == COLUMNS
    assert rows["image"]["op_type"] == "Input"
    assert rows["/stem/act/Relu"] == {
        "name": "/stem/act/Relu",
        "op_type": "Relu",
        "group": "g0",
        "input_dtypes": "",
        "output_dtype": "int16",
        "weight_dtype": "",
        "ch_axis": "",
        "observer": "min_max",
        "threshold": "2.0",
        "scale": repr(2.0 / 32768),
        "fixed": "yes",
        "calls": "1",
        "requested": "",
        "effective": "",
        "reason": "Relu is fused into the Conv",
    }
    conv = rows["/block/block.0/conv/Conv"]
    assert (conv["input_dtypes"], conv["weight_dtype"], conv["ch_axis"]) == ("int16", "int8", "0")
    attention = rows["/attn/MatMul"]
    assert (attention["input_dtypes"], attention["requested"], attention["effective"]) == (
        "int16;int8",
        "a16w16",
        "a16w8",
    )
    assert attention["reason"] == "no dual int16 on a MatMul of two activations"
    assert rows["/head/layers.0/Gemm"]["reason"] == "pinned by head.*, frozen"
    assert rows["/block/block.0/Add"]["reason"] == "part of /block/block.0/conv/Conv"


def test_a_module_called_twice_shows_its_calls():
    deployment = residual_deployment(node_types={"/stem/conv/Conv": "Conv", "/stem/conv/Conv_1": "Conv"})
    calls = {row["name"]: row["calls"] for row in read(qconfig_csv(deployment))}
    assert calls["/stem/conv/Conv"] == "2"


def line(rank: int, **changes) -> SensitivityLine:
    values = {
        "output": "logits",
        "metric": "cosine",
        "base": "int8",
        "op_name": f"=conv{rank}",
        "sensitive_type": "activation",
        "op_type": "Conv",
        "value": 0.5 / rank,
        "dtype": "int8",
        "flops": 200,
        "flops_share": 0.25,
        "group": "g0",
        "rank": rank,
    }
    return SensitivityLine(**{**values, **changes})


def test_sensitivity_is_sorted_by_table_and_rank():
    data = sensitivity_csv([line(2), line(1), line(1, output="boxes"), line(3, value=None, group=None)])
    rows = read(data)
    assert [(row["output"], row["rank"]) for row in rows] == [
        ("boxes", "1"),
        ("logits", "1"),
        ("logits", "2"),
        ("logits", "3"),
    ]
    assert rows[1]["op_name"] == "'=conv1"
    assert (rows[3]["value"], rows[3]["group"]) == ("", "")
    assert data.decode().splitlines()[0] == (
        "output,metric,base,op_name,sensitive_type,op_type,value,dtype,flops,flops_share,group,rank"
    )


def test_a_trial_tells_what_was_seen_and_what_is_estimated_apart():
    trial = trial_record(
        1,
        stage="common ratio",
        verdict="rejected",
        n_run=600,
        seen={"top1@logits": 0.91},
        estimates={"top1@logits": Estimate(0.93, 0.92, 0.94)},
    )
    data = trials_csv([trial], goals=["top1@logits", "mae@xy"])
    assert data.decode().splitlines()[0] == (
        "trial,stage,role,base,ratio,requested,effective,cost,samples,"
        "top1@logits seen,top1@logits estimate,top1@logits estimate low,top1@logits estimate high,"
        "mae@xy seen,mae@xy estimate,mae@xy estimate low,mae@xy estimate high,verdict,why,seconds"
    )
    (row,) = read(data)
    assert (row["top1@logits seen"], row["samples"], row["top1@logits estimate"]) == ("0.91", "600", "0.93")
    assert (row["mae@xy seen"], row["mae@xy estimate"], row["verdict"]) == ("", "", "rejected")


def test_a_horizon_solution_gives_all_files_and_the_same_every_time():
    files = export_files(residual_deployment()).files
    assert list(files) == [
        "ort_float.onnx",
        "ort_overrides.json",
        "ort_quantize.py",
        "qconfig.csv",
        "horizon/model.onnx",
        "horizon/model.qdq.onnx",
        "horizon/quant_config.json",
        "horizon/quant_config_load.json",
        "horizon/hb_compile.yaml",
        "horizon/hb_compile_load.yaml",
        "horizon/qconfig_setter.py",
        "horizon/qconfig_setter_legacy.py",
        "horizon/README.md",
        "deploy.json",
    ]
    assert files == export_files(residual_deployment()).files


def test_other_targets_get_no_horizon_files():
    assert set(export_files(residual_deployment(kind="ort", march=None)).files) == {
        "deploy.json",
        "ort_float.onnx",
        "ort_overrides.json",
        "ort_quantize.py",
        "qconfig.csv",
    }


def test_the_evidence_files_are_named_as_the_contract_says():
    assert set(evidence_files([], [], goals=[])) == {"sensitivity.csv", "trials.csv"}


def test_a_missing_scale_is_named():
    missing = {one.what: one for one in export_files(_without_stem_grid()).missing}
    assert "'stem_out' has no grid for int16" in missing["ort_overrides.json"].why
    assert missing["ort_overrides.json"].is_fault


def _without_stem_grid():
    deployment = residual_deployment()
    return residual_deployment(grids={key: grid for key, grid in deployment.grids.items() if key != (1, 16)})
