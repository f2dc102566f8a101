"""Keys and values that Horizon's PTQ tools accept, as tables; our own files are checked against them when written.

``quant_config.json`` is read by HMCT, ``hb_compile.yaml`` by ``hb_compile -c``. Keys the tools call deprecated are
absent here, so emitting one is an error.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

QTYPES = (
    "int4",
    "int8",
    "int16",
    "int32",
    "float16",
    "float32",
    "mxint16",
    "mxint8",
    "mxfp8",
    "mxfp4",
    "mxint4",
    "nvfp4",
)
GEMM_QTYPES = ("dual-int16", "int16-ec")
"""Only for Conv, ConvTranspose, Gemm and MatMul."""

GEMM_OPS = ("Conv", "ConvTranspose", "Gemm", "MatMul")

MARCHES = (
    "nash", "nash-b", "nash-b-lite", "nash-b-plus", "nash-e", "nash-m", "nash-h", "nash-p", "expt",
)  # fmt: skip
CORE_NUMS = {
    "nash-e": (1,), "nash-m": (1,), "nash-b": (1,), "nash-b-lite": (1,), "nash-b-plus": (1,),
    "nash-p": (1, 2, 3, 4), "nash-h": (1, 2, 3, 4),
}  # fmt: skip
L2M_LIMIT_BYTES = 25165824
L2M_BYTES_PER_CORE = L2M_LIMIT_BYTES // 4
WITHOUT_L2M = frozenset({"nash-b", "nash-b-lite", "nash-b-plus", "nash-e", "nash-m"})

Check: TypeAlias = Callable[[Any], bool]


def _text(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


def _flag(value: Any) -> bool:
    return isinstance(value, bool)


def _joined(value: Any) -> bool:
    """One value per input: ``;``-joined, or a list where a value holds a semicolon itself."""
    return _text(value) or (isinstance(value, list) and bool(value) and all(_text(v) for v in value))


def _one_of(*allowed: Any) -> Check:
    return lambda value: not isinstance(value, bool) and value in allowed


def _each_of(*allowed: str) -> Check:
    return lambda value: isinstance(value, str) and all(part in allowed for part in value.split(";"))


def _integer(low: int, high: int | None = None) -> Check:
    return lambda value: type(value) is int and value >= low and (high is None or value <= high)


def _shapes(value: Any) -> bool:
    return isinstance(value, str) and all(re.fullmatch(r"\d+(x\d+)*", part) for part in value.split(";"))


_RT_TYPES = (
    "nv12",
    "yuv444",
    "rgb",
    "bgr",
    "gray",
    "featuremap",
    "yuv420sp_bt601_video",
    "yuv_bt601_full",
    "yuv444_128",
)
_TRAIN_TYPES = ("rgb", "bgr", "gray", "featuremap", "yuv444")
_REMOVABLE = ("Quantize", "Transpose", "Dequantize", "Cast", "Reshape", "Softmax")

HB_COMPILE: Mapping[str, Mapping[str, Check]] = {
    "model_parameters": {
        "onnx_model": _text, "march": _one_of(*MARCHES, "nash-starry-p"), "working_dir": _text,
        "output_model_file_prefix": _text, "output_nodes": _joined, "remove_node_name": _joined,
        "remove_node_type": _each_of(*_REMOVABLE), "debug_mode": _one_of("dump_calibration_data"),
        "enable_vpu": _flag, "enable_spu": _flag, "layer_out_dump": _flag,
    },
    "input_parameters": {
        "input_name": _joined, "input_shape": _shapes, "input_batch": _joined, "separate_batch": _flag,
        "separate_name": _joined, "input_type_rt": _each_of(*_RT_TYPES), "input_type_train": _each_of(*_TRAIN_TYPES),
        "input_layout_train": _each_of("NCHW", "NHWC"), "mean_value": _text, "scale_value": _text, "std_value": _text,
    },
    "calibration_parameters": {
        "cal_data_dir": _joined, "calibration_type": _one_of("kl", "max", "load", "skip"), "per_channel": _flag,
        "max_percentile": lambda v: isinstance(v, float) and 0.5 <= v <= 1.0,
        "run_on_cpu": _joined, "run_on_bpu": _joined,
        "optimization": _each_of("set_model_output_int8", "set_model_output_int16"),
        "quant_config": lambda v: _text(v) or isinstance(v, dict),
    },
    "compiler_parameters": {
        "compile_mode": _one_of("latency", "bandwidth", "balance"), "balance_factor": _integer(0, 100),
        "optimize_level": _one_of("O0", "O1", "O2"), "core_num": _integer(1, 4),
        "max_time_per_fc": lambda v: v == 0 or _integer(1000, 10000000)(v), "jobs": _integer(1),
        "max_l2m_size": _integer(0, L2M_LIMIT_BYTES), "debug": _flag, "advice": lambda v: isinstance(v, float),
    },
}  # fmt: skip

_METRICS = ("cosine-similarity", "mse", "mae", "mre", "sqnr", "chebyshev")

ACTIVATION: Mapping[str, Check] = {
    "calibration_type": lambda v: all(
        _one_of("max", "kl", "load")(item) for item in (v if isinstance(v, list) else [v])
    ),
    "num_bin": lambda v: isinstance(v, list) and all(_integer(129)(item) for item in v),
    "max_num_bin": _integer(258),
    "max_percentile": lambda v: isinstance(v, float) and 0.5 <= v <= 1.0,
    "per_channel": _flag,
    "asymmetric": _flag,
}

MODEL_CONFIG: Mapping[str, Check] = {
    "all_node_type": _one_of("int8", "int16", "float16"),
    "model_output_type": _one_of("int8", "int16", "float16", "float32"),
    "activation": lambda v: not _section_problems(v, ACTIVATION, where=""),
    "weight": lambda v: isinstance(v, dict) and set(v) <= {"bias_correction"},
    "modelwise_search": lambda v: isinstance(v, dict) and v.get("metric") in _METRICS,
    "layerwise_search": lambda v: isinstance(v, dict) and v.get("metric") in _METRICS,
}


def hb_compile_problems(document: Any) -> list[str]:
    """Return what is wrong with a parsed ``hb_compile.yaml``; an empty list means it is well formed."""
    if not isinstance(document, dict):
        return ["the file must be a mapping of sections"]
    problems = [f"unknown section {name!r}" for name in document if name not in HB_COMPILE]
    for name, table in HB_COMPILE.items():
        section = document.get(name, {})
        problems += _section_problems(section, table, where=f"{name}.")
    if problems:
        return problems
    march = document.get("model_parameters", {}).get("march")
    compiler = document.get("compiler_parameters", {})
    if march is None:
        problems.append("model_parameters.march is missing")
    if compiler.get("core_num", 1) not in CORE_NUMS.get(march, (1, 2, 3, 4)):
        problems.append(f"compiler_parameters.core_num: {march} has not {compiler['core_num']} cores")
    if march in WITHOUT_L2M and "max_l2m_size" in compiler:
        problems.append(f"compiler_parameters.max_l2m_size: {march} has no such memory")
    if (compiler.get("compile_mode") == "balance") != ("balance_factor" in compiler):
        problems.append("compiler_parameters: balance_factor belongs to compile_mode balance, and only to it")
    return problems


def quant_config_problems(document: Any) -> list[str]:
    """Return what is wrong with a parsed ``quant_config.json``; an empty list means it is well formed."""
    if not isinstance(document, dict):
        return ["the file must be a mapping"]
    known = ("model_config", "op_config", "subgraph_config", "node_config")
    problems = [f"unknown section {name!r}" for name in document if name not in known]
    problems += _section_problems(document.get("model_config", {}), MODEL_CONFIG, where="model_config.")
    for op, value in document.get("op_config", {}).items():
        problems += _entry_problems(value, where=f"op_config.{op}", gemm=op in GEMM_OPS)
    for node, value in document.get("node_config", {}).items():
        problems += _entry_problems(value, where=f"node_config.{node}", gemm=True)
    return problems


def _section_problems(section: Any, table: Mapping[str, Check], *, where: str) -> list[str]:
    if not isinstance(section, dict):
        return [f"{where or 'section '}must be a mapping"]
    unknown = [f"{where}{key}: unknown key" for key in section if key not in table]
    wrong = [
        f"{where}{key}: {value!r} is not allowed"
        for key, value in section.items()
        if key in table and not table[key](value)
    ]
    return unknown + wrong


def _entry_problems(entry: Any, *, where: str, gemm: bool) -> list[str]:
    """Check ``{"qtype": ...}`` or ``{"input0": ..., "input1": ...}``; ``ON`` is for processors and never a type."""
    if not isinstance(entry, dict) or not entry:
        return [f"{where}: must be a non-empty mapping"]
    allowed = QTYPES + (GEMM_QTYPES if gemm else ())
    problems = []
    for key, value in entry.items():
        if key == "ON":
            problems += [] if value in ("BPU", "CPU") else [f"{where}.ON: {value!r} is not BPU or CPU"]
        elif key == "activation":
            problems += _section_problems(value, ACTIVATION, where=f"{where}.activation.")
        elif key != "qtype" and not re.fullmatch(r"input\d+", key):
            problems.append(f"{where}.{key}: unknown key")
        elif value not in allowed:
            problems.append(f"{where}.{key}: {value!r} is not a type")
    if "qtype" in entry and any(key.startswith("input") for key in entry):
        problems.append(f"{where}: give qtype or the inputs, not both")
    return problems
