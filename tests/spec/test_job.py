import json
from pathlib import Path

import jsonschema
import pytest
import yaml
from pydantic import ValidationError

import search.spec.job as job_module
from search.errors import UsageError
from search.spec.job import JobSpec, job_schema
from search.spec.load import build_job, check_available, load_job, read_spec

DOCUMENTED = """
schema: bitbudget.job/1
model: model.onnx
data:
  calibration: calib.npz
  evaluation: eval.npz
  confirmation: null
  confirmation_share: 0
  preprocess: {order: RGB, resize: 256, crop: 224, mean: 127.5, scale: 0.00784, layout: NCHW}
target: {name: j6m, toolchain: 3.0.17, route: hmct}
goal:
  - {metric: top1, output: logits, labels: labels, max_drop: 0.01}
  - {metric: mae, output: xy, labels: labels_xy, max_increase: 0.002, ranking: l1}
expected_float: {top1@logits: 0.743}
inputs: {speed: {range: [0, 200]}, image: {quantize: false}}
outputs: {logits: {transform: softmax, cut: auto, precision: high}}
badcase: {samples: all}
remedies: false
strict: false
allow_float: false
overrides: null
run: {priority: 0, threads: 1, timeout_s: null}
pins: [{match: "head.*", at_least: int16, freeze: true}]
calibration:
  methods: [kl_v2, mse]
  samples: all
  overrides: {tensor_7: {range: [-1, 1]}}
  weights: {granularity: channel, symmetric: auto, reduce_range: auto}
search:
  {strategy: auto, sampler: tpe, evaluator: integer, seed: 0, batch: 1, task_macs: 2.0e10, confidence: null,
   max_evaluations: null, max_seconds: null, measure: null}
"""
SMALL = "{model: m.onnx, data: {calibration: c.npz, evaluation: e.npz}, target: {name: j6m}}"


def changed(old, new):
    assert old in DOCUMENTED
    return DOCUMENTED.replace(old, new, 1)


def test_reads_the_documented_example():
    job = load_job(DOCUMENTED)
    assert job.target.toolchain == "3.0.17"
    assert [goal.id for goal in job.goal] == ["top1@logits", "mae@xy"]
    assert job.inputs["speed"].range == (0.0, 200.0)
    assert job.search.task_macs == 2e10
    assert job.pins[0].freeze


def test_has_every_documented_key_and_no_other():
    def keys(value, prefix=""):
        if not isinstance(value, dict):
            return set()
        return {prefix + key for key in value} | {name for k, v in value.items() for name in keys(v, f"{prefix}{k}.")}

    free = ("expected_float.", "inputs.", "outputs.", "calibration.overrides.")
    written = {key for key in keys(yaml.safe_load(DOCUMENTED)) if not key.startswith(free)}
    dumped = {key for key in keys(load_job(DOCUMENTED).to_json()) if not key.startswith(free)}
    assert dumped == written


def test_every_default_is_filled_in():
    job = load_job(SMALL)
    assert job.goal == ()
    assert job.calibration.methods is None  # those of the target
    assert (job.search.strategy, job.search.evaluator, job.search.seed) == ("auto", None, 0)
    assert (job.run.threads, job.data.confirmation_share, job.badcase.samples) == (1, 0.0, "all")


@pytest.mark.parametrize("text", [DOCUMENTED, SMALL])
def test_what_is_written_out_is_read_back(text):
    job = load_job(text)
    assert load_job(json.dumps(job.to_json())) == job


@pytest.mark.parametrize("version", ["3.2", "3.20", "3", "off", "3.0.17", "'3.2'"])
def test_a_toolchain_is_the_text_that_was_written(version):
    job = load_job(changed("toolchain: 3.0.17", f"toolchain: {version}"))
    assert job.target.toolchain == version.strip("'")


def test_off_is_text_for_a_cut_and_false_for_a_switch():
    job = load_job(
        changed("cut: auto", "cut: off")
        .replace("remedies: false", "remedies: yes")
        .replace("freeze: true", "freeze: off")
    )
    assert job.outputs["logits"].cut == "off"
    assert job.remedies is True
    assert job.pins[0].freeze is False


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("calibration: calib", "calibrtion: calib", r"unknown key 'data.calibrtion' \(did you mean 'calibration'\?\)"),
        ("mean: 127.5", "men: 127.5", r"unknown key 'data.preprocess.men' \(did you mean 'mean'\?\)"),
        ("max_drop: 0.01", "max_dorp: 0.01", r"unknown key 'goal\[0\].max_dorp' \(did you mean 'max_drop'\?\)"),
        ("range: [0, 200]", "rnage: [0, 200]", r"unknown key 'inputs.speed.rnage' \(did you mean 'range'\?\)"),
        ("at_least:", "atleast:", r"unknown key 'pins\[0\].atleast' \(did you mean 'at_least'\?\)"),
        ("remedies:", "remedy:", r"unknown key 'remedy'"),
        ("model: model.onnx", "", "'model' is missing"),
        (
            "schema: bitbudget.job/1",
            "schema: bitbudget.job/2",
            "schema: must be 'bitbudget.job/1', got 'bitbudget.job/2'",
        ),
        ("seed: 0", "seed: 0.5", "search.seed: must be a whole number, got 0.5"),
        ("seed: 0", "seed: true", "search.seed: must be a whole number, got true"),
        ("seed: 0", "seed: '0'", "search.seed: must be a whole number, got '0'"),
        ("task_macs: 2.0e10", "task_macs: 1e999", "search.task_macs: must be a finite number"),
        ("threads: 1", "threads: 0", "run.threads: must be at least 1, got 0"),
        (
            "strategy: auto",
            "strategy: random",
            "search.strategy: must be one of 'auto', 'ladder', 'optuna', 'exhaustive', got 'random'",
        ),
        ("methods: [kl_v2, mse]", "methods: kl", "calibration.methods: must be a list, got 'kl'"),
        ("methods: [kl_v2, mse]", "methods: []", "calibration.methods: name at least one method"),
        ("methods: [kl_v2, mse]", "methods: [kl, kl]", "calibration.methods: a method is listed twice"),
        (
            "samples: all\n  over",
            "samples: lots\n  over",
            "calibration.samples: must be 'all' or a whole number, got 'lots'",
        ),
        (
            "[-1, 1]",
            "[1, -1]",
            r"calibration.overrides.tensor_7.range: the first number must be below the second, got \[1, -1\]",
        ),
        (
            "{range: [-1, 1]}",
            "{range: [-1, 1], method: kl}",
            "give exactly one of range, method and scale; got range and method",
        ),
        ("mean: 127.5", "mean: [1, 2]", "data.preprocess.mean: must be one number or one per channel"),
        ("mean: 127.5", "mean: x", "data.preprocess.mean: must be a number or a list, got 'x'"),
        ("crop: 224", "crop: [1, 2, 3]", r"data.preprocess.crop: crop must be one number or \[height, width\]"),
        ("confirmation_share: 0", "confirmation_share: 1", "data.confirmation_share: must be less than 1"),
        ("evaluation: eval.npz", "", "data: 'evaluation' is missing; only calibration: random"),
        ('match: "head.*", at_least: int16, ', "at_least: int16, ", r"pins\[0\]: a pin needs match, op_type or scope"),
        (
            "at_least: int16, freeze: true",
            "freeze: false",
            r"pins\[0\]: a pin needs at_least, at_most, exactly or freeze",
        ),
        ("at_least: int16", "at_least: int16, at_most: int8", "at_least int16 is above at_most int8"),
        ("at_least: int16", "at_least: int16, exactly: int8", "exactly, or at_least and at_most"),
        (
            "symmetric: auto",
            "symmetric: maybe",
            "calibration.weights.symmetric: must be 'auto' or true or false, got 'maybe'",
        ),
        ("model: model.onnx", "model: ''", "model: must not be empty"),
        ("target: {name: j6m, toolchain: 3.0.17, route: hmct}", "target: j6m", "target: must be a mapping, got 'j6m'"),
    ],
)
def test_a_mistake_is_named_by_its_pointer_in_one_line(old, new, message):
    with pytest.raises(UsageError, match=message) as caught:
        load_job(changed(old, new), where="job.yaml")
    assert str(caught.value).startswith("job.yaml: ")
    assert "\n" not in str(caught.value)


def test_several_mistakes_are_reported_together():
    with pytest.raises(UsageError, match=r"search.seed.*run.threads|run.threads.*search.seed"):
        load_job(changed("seed: 0", "seed: x").replace("threads: 1", "threads: x"))


@pytest.mark.parametrize("text", ["", "[]", "just words", "3"])
def test_a_spec_is_a_mapping(text):
    with pytest.raises(UsageError, match="a job spec is a mapping"):
        load_job(text)


def test_confirmation_comes_from_one_place():
    with pytest.raises(UsageError, match="not both"):
        load_job(changed("confirmation: null", "confirmation: c.npz").replace("share: 0", "share: 0.2"))


def test_random_calibration_needs_no_evaluation():
    assert load_job("{model: m, data: {calibration: random}, target: {name: j6m}}").data.is_random


def test_a_job_cannot_be_changed():
    with pytest.raises(ValidationError):
        load_job(SMALL).model = "other.onnx"


@pytest.mark.parametrize("strategy", ["auto", "ladder", "optuna", "exhaustive"])
def test_every_strategy_of_the_schema_is_there(strategy):
    check_available(build_job({**read_spec(SMALL), "search": {"strategy": strategy}}))


def test_the_published_schema_is_the_models_own():
    published = json.loads(Path(job_module.__file__).with_name("job.schema.json").read_text())
    assert published == job_schema(), "regenerate search/spec/job.schema.json from job_schema()"


@pytest.mark.parametrize("text", [DOCUMENTED, SMALL])
def test_the_published_schema_accepts_what_is_written_out(text):
    jsonschema.Draft202012Validator.check_schema(job_schema())
    jsonschema.validate(load_job(text).to_json(), job_schema())


def test_the_published_schema_refuses_unknown_keys():
    values = load_job(SMALL).to_json()
    with pytest.raises(jsonschema.ValidationError, match="calibrtion"):
        jsonschema.validate({**values, "data": {**values["data"], "calibrtion": "x"}}, job_schema())


def test_only_a_key_of_the_file_sets_the_schema():
    assert JobSpec.model_validate({"model": "m", "data": {"calibration": "random"}, "target": {"name": "j6m"}}).schema_
