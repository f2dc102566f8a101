"""Reports written from the documented formats of the tools."""

from __future__ import annotations

import json
from typing import Any

import pytest

from search.errors import InvalidDataError
from search.targets.fitting.reports import parse_report


def hbm_perf(**changes: Any) -> dict[str, Any]:
    return {
        "summary": {
            "performance": {
                "FPS": 812.3,
                "latency (us)": 1231.5,
                "latency (ms)": 1.2315,
                "latency (us) by segments": [1231.5],
            },
            "DDR access data": {
                "DDR megabytes per run": 12.5,
                "loaded bytes per run": 9_000_000,
                "stored bytes per run": 3_500_000,
                "min memory requirement": 20_000_000,
            },
            "interval info": {"interval number": 13, "interval time (ms)": 0.1},
            "layer details": [
                {
                    "layer name": "conv1",
                    "active period of time": "0~59 us",
                    "computing cost (no DDR)": "59 us (8.2% of model)",
                    "load cost": "3 us (0.2% of model)",
                    "store cost": "1 us (0.1% of model)",
                    "origin ops": "Conv_0",
                }
            ],
            "model info": {
                "BPU march": "nash-m",
                "BPU core number": 1,
                "original conv ops": 7_740_000_000,
                "double int8 macs": 3_000_000_000,
                "feature int16 weight int8 macs": 800_000_000,
                "feature int8 weight int16 macs": 70_000_000,
                "double int16 macs": 0,
            },
            **changes,
        },
        "coreSummaryGroup": [{}],
        "details": [[{"inst_type": "TAE", "start_time (us)": 1.0, "working_time (us)": 3.0}]],
    }


PROFILER = """{
    "perf_result": {"FPS": 402.1, "average_latency": 2.4716},
    "running_condition": {"core_id": 0, "frame_count": 200, "model_name": "net", "run_time": 497.3, "thread_num": 1}
}
***
{
    "model_latency": {
        "Node-0-BPU-net_bpu_segment_0": {
            "Stage1-GenerateBpuTask": {"avg_time": 0.01, "max_time": 0.05, "min_time": 0.008},
            "Stage2-BpuCoreProcess": {"avg_time": 2.4, "max_time": 2.6, "min_time": 2.3},
            "Total": {"avg_time": 2.41, "max_time": 2.65, "min_time": 2.308}
        }
    },
    "processor_latency": {
        "BPU_inference_time_cost": {"avg_time": 2.4}, "CPU_inference_time_cost": {"avg_time": 0.0}
    },
    "task_latency": {"TaskRunningTime": {"avg_time": 2.43}}
}
"""


def test_hbm_perf_gives_time_macs_by_format_and_bytes():
    found = parse_report(json.dumps(hbm_perf()), where="net.json")
    assert found.microseconds == 1231.5
    assert found.macs == {"a8w8": 3_000_000_000, "a16w8": 800_000_000, "a8w16": 70_000_000, "a16w16": 0}
    assert (found.ddr_bytes, found.march) == (12_500_000, "nash-m")
    assert found.sums == {
        "relative_rate.a8w8": 3_000_000_000,
        "relative_rate.a16w8": 800_000_000,
        "relative_rate.a8w16": 70_000_000,
        "bytes_per_s": 12_500_000,
    }


@pytest.mark.parametrize(
    ("performance", "expected"),
    [
        ({"latency (ms)": 2.5}, 2500.0),
        ({"latency (us)": "1,250.5 us"}, 1250.5),
        ({"latency (us)": "59 us (8.2%)"}, 59.0),
    ],
)
def test_times_may_be_texts_or_in_milliseconds(performance, expected):
    assert parse_report(json.dumps(hbm_perf(performance=performance)), where="r").microseconds == expected


def test_the_profiler_log_gives_the_average_latency():
    found = parse_report(PROFILER, where="profiler.log")
    assert found.microseconds == pytest.approx(2471.6)
    assert (found.name, found.sums, found.ddr_bytes) == ("net", {}, None)


def test_missing_sums_are_missing_not_zero():
    report = hbm_perf(**{"DDR access data": {"loaded bytes per run": 5}, "model info": {}})
    found = parse_report(json.dumps(report), where="r")
    assert (found.ddr_bytes, found.macs, found.march) == (None, {}, None)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("FPS: 12", "not JSON"),
        ("[1, 2]", "a JSON object is expected, got list"),
        ("{}", "neither an hbm_perf report"),
        ("", "neither an hbm_perf report"),
        ('{"summary": {}}', "a positive time is needed"),
        ('{"summary": {"performance": {"latency (us)": 0}}}', "is 0.0; a positive time"),
        ('{"summary": {"performance": {"latency (us)": true}}}', "is None; a positive time"),
        ('{"summary": {"performance": [3]}}', "a positive time is needed"),
        ('{"perf_result": {"average_latency": "fast"}}', "perf_result.average_latency is None"),
        ("[" * 100_000, "not JSON"),
    ],
)
def test_other_files_are_refused_with_the_reason(text, told):
    with pytest.raises(InvalidDataError, match=r"report\.json") as caught:
        parse_report(text, where="report.json")
    assert told in str(caught.value)
