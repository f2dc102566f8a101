"""The files that deploy the service say what they should, and what they run works when it is run by hand."""

from __future__ import annotations

import ast
import contextlib
import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from hera.workflows.models import WorkflowTemplate
from pydantic import ValidationError

from bitbudget._commands import ALL
from service.cli.commands import application
from service.store.settings import PREFIX, Settings
from tests.docs.pages import ROOT, pages
from tests.service.cli.served import Served, command, environment, free_port
from tests.service.databases import new_url

PIPELINES = ROOT / "examples/pipelines"
IMAGE = f"bitbudget:{tomllib.loads((ROOT / 'pyproject.toml').read_text())['project']['version']}"
COMMANDS: dict[str, Any] = typer.main.get_command(application(ALL)).commands  # type: ignore[attr-defined]


def compose() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    return found


# --- compose

CONDITIONS = {"service_started", "service_healthy", "service_completed_successfully"}
SCHEMAS = {
    "docker-compose.yml": "compose-spec",
    "examples/pipelines/github-action.yml": "github-actions",
    "examples/pipelines/gitlab-ci.yml": "gitlab-ci",
}


def violations(schema: str, path: Path) -> str:
    """What a document has against the published schema of its kind, as the wheel of check-jsonschema carries it."""
    tool = str(Path(sys.executable).with_name("check-jsonschema"))
    transform = ["--data-transform", "gitlab-ci"] if schema == "gitlab-ci" else []
    given = [tool, "--no-cache", "--builtin-schema", f"vendor.{schema}", *transform, str(path)]
    done = subprocess.run(given, capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else done.stdout + done.stderr


@pytest.mark.parametrize(("path", "schema"), SCHEMAS.items())
def test_a_document_fits_the_published_schema_of_its_kind(path: str, schema: str) -> None:
    assert violations(schema, ROOT / path) == ""


def test_a_document_that_does_not_is_found(tmp_path: Path) -> None:
    wrong = tmp_path / "docker-compose.yml"
    wrong.write_text((ROOT / "docker-compose.yml").read_text().replace("    command: [worker]", "    comand: [worker]"))
    assert "comand" in violations("compose-spec", wrong)


def test_what_compose_services_name_exists() -> None:
    found = compose()
    for name, service in found["services"].items():
        assert set(service.get("networks", [])) <= set(found["networks"]), name
        assert set(service.get("secrets", [])) <= set(found["secrets"]), name
        assert {one.partition(":")[0] for one in service.get("volumes", [])} <= set(found["volumes"]), name
        for other, how in service.get("depends_on", {}).items():
            assert other in found["services"]
            assert how["condition"] in CONDITIONS


def ours() -> dict[str, dict[str, Any]]:
    return {name: one for name, one in compose()["services"].items() if "bitbudget" in one["image"]}


def test_compose_has_the_parts_and_none_has_rights() -> None:
    assert set(compose()["services"]) == {"postgres", "migrate", "api", "worker"}
    assert set(ours()) == {"migrate", "api", "worker"}
    for name, service in ours().items():
        assert service["read_only"], name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert "data:/data" in service["volumes"], name
    assert compose()["networks"]["inside"]["internal"]
    assert "outside" not in compose()["services"]["worker"]["networks"]
    assert all(port.startswith("127.0.0.1:") for port in compose()["services"]["api"]["ports"])


def test_every_container_of_compose_has_limits_and_a_worker_room_for_its_evaluators() -> None:
    for name, service in compose()["services"].items():
        limits = service["deploy"]["resources"]["limits"]
        assert 0 < float(limits["cpus"]) <= 4, name
        assert 100 <= limits["pids"] <= 512, name
        assert re.fullmatch(r"\d+g", limits["memory"]), name
    worker = compose()["services"]["worker"]
    given = {key: str(one) for key, one in worker["environment"].items() if not key.endswith("_FILE")}
    settings = Settings.from_env(given)
    beside = int(worker["deploy"]["resources"]["limits"]["memory"][:-1]) * 2**30 - 2**30
    assert beside >= settings.slots * settings.evaluator_memory_bytes


def test_compose_commands_and_settings_are_those_of_the_program() -> None:
    for name, service in ours().items():
        command_name, *arguments = service["command"]
        COMMANDS[command_name].make_context(command_name, list(arguments))
        known = {PREFIX + one.upper() for one in Settings.model_fields}
        assert {one.removesuffix("_FILE") for one in service["environment"]} <= known, name
        given = {
            one.removeprefix(PREFIX).lower(): value
            for one, value in service["environment"].items()
            if not one.endswith("_FILE")
        }
        Settings.from_env({}, **given)


def test_a_worker_has_time_to_drain_before_it_is_killed() -> None:
    worker = compose()["services"]["worker"]
    assert int(worker["stop_grace_period"][:-1]) > float(worker["environment"]["BITBUDGET_DRAIN_S"])


# --- the image

LINES = (ROOT / "Dockerfile").read_text().replace("\\\n", " ").splitlines()
INSTRUCTIONS = [line.split(None, 1) for line in LINES if line and not line.startswith("#")]


def test_the_image_runs_as_a_user_without_rights() -> None:
    known = {"FROM", "WORKDIR", "COPY", "RUN", "ENV", "USER", "VOLUME", "EXPOSE", "STOPSIGNAL", "HEALTHCHECK"}
    assert {name for name, _ in INSTRUCTIONS} <= known | {"ENTRYPOINT", "CMD"}
    user = [text for name, text in INSTRUCTIONS if name == "USER"]
    assert user == ["10001:10001"]
    last = [name for name, _ in INSTRUCTIONS]
    assert last.index("USER") > max(n for n, name in enumerate(last) if name == "RUN")
    values = dict(INSTRUCTIONS)
    assert json.loads(values["ENTRYPOINT"]) == ["bitbudget"]
    name, *arguments = json.loads(values["CMD"])
    COMMANDS[name].make_context(name, arguments)


def test_the_image_gets_what_it_copies_and_nothing_else() -> None:
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied: set[str] = set()
    for name, text in INSTRUCTIONS:
        if name == "COPY" and not text.startswith("--from"):
            copied |= set(text.split()[:-1])
    assert copied == allowed
    assert all((ROOT / one).exists() for one in copied)


# --- pipelines


def texts(value: Any) -> Iterator[str]:
    """Every text of a document."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for one in value.values():
            yield from texts(one)
    elif isinstance(value, list):
        for one in value:
            yield from texts(one)


DOCUMENTS = {path.name: path for path in sorted(PIPELINES.glob("*.y*ml"))}
REQUIRED: dict[str, tuple[str, ...]] = {
    "argo.yaml": ("apiVersion", "kind", "metadata.name", "spec.entrypoint", "spec.templates"),
    "github-action.yml": ("name", "description", "inputs", "runs.using", "runs.steps"),
    "gitlab-ci.yml": ("bitbudget.image.name", "bitbudget.script", "bitbudget.artifacts.when"),
    "kubeflow.yaml": ("name", "inputs", "outputs", "implementation.container.command"),
}


@pytest.mark.parametrize("name", REQUIRED)
def test_pipeline_documents_have_what_their_engine_needs(name: str) -> None:
    document = yaml.safe_load(DOCUMENTS[name].read_text())
    for key in REQUIRED[name]:
        value = document
        for part in key.split("."):
            value = value[part]
        assert value, key


def known_to_argo(document: Mapping[str, Any]) -> dict[str, Any]:
    """A document as Argo's own model of its kind understands it: what it does not know is left out.

    Raises:
        pydantic.ValidationError: If something has another type, or is missing.
    """
    read = WorkflowTemplate.model_validate(document)
    return dict(read.model_dump(by_alias=True, exclude_unset=True, mode="json"))


def test_the_argo_template_is_one_for_argo() -> None:
    document = yaml.safe_load(DOCUMENTS["argo.yaml"].read_text())
    assert known_to_argo(document) == document


@pytest.mark.parametrize(
    ("good", "wrong"), [("retryPolicy:", "retryPolice:"), ("image:", "imgae:"), ("limit:", "limits:")]
)
def test_a_mistake_in_the_argo_template_is_found(good: str, wrong: str) -> None:
    document = yaml.safe_load(DOCUMENTS["argo.yaml"].read_text().replace(good, wrong))
    with contextlib.suppress(ValidationError):
        assert known_to_argo(document) != document


def test_the_argo_template_names_what_it_has() -> None:
    spec = yaml.safe_load(DOCUMENTS["argo.yaml"].read_text())["spec"]
    assert spec["entrypoint"] in {one["name"] for one in spec["templates"]}
    template = spec["templates"][0]
    volumes = {one["name"] for one in template["volumes"]}
    assert {one["name"] for one in template["container"]["volumeMounts"]} <= volumes
    parameters = {one["name"] for one in spec["arguments"]["parameters"]}
    used = set(re.findall(r"workflow\.parameters\.(\w+)", DOCUMENTS["argo.yaml"].read_text()))
    assert used <= parameters


def test_the_version_is_the_same_wherever_it_stands() -> None:
    version = IMAGE.removeprefix("bitbudget:")
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert (citation["version"], citation["license"]) == (version, "Apache-2.0")
    assert {one["image"] for one in ours().values()} == {IMAGE}
    assert (
        f"## {version} (" in (ROOT / "CHANGELOG.md").read_text()
        or f"The next version is {version}." in (ROOT / "CHANGELOG.md").read_text()
    )


def test_every_pipeline_runs_the_same_command() -> None:
    assert set(DOCUMENTS) == set(REQUIRED)
    for path in (*DOCUMENTS.values(), PIPELINES / "airflow_dag.py"):
        assert "run.sh" in path.read_text(), path.name
        assert IMAGE in path.read_text(), path.name


def test_shell_parts_of_pipelines_are_shell(tmp_path: Path) -> None:
    for path in DOCUMENTS.values():
        for text in texts(yaml.safe_load(path.read_text())):
            if "run.sh" in text:
                subprocess.run(["sh", "-n", "-c", re.sub(r"\{\{.*?\}\}", "x", text)], check=True)
    subprocess.run(["sh", "-n", str(PIPELINES / "run.sh")], check=True)


def test_the_airflow_dag_is_python_and_calls_the_operator_with_what_it_knows() -> None:
    tree = ast.parse((PIPELINES / "airflow_dag.py").read_text())
    calls = [one for one in ast.walk(tree) if isinstance(one, ast.Call)]
    names = {one.func.id for one in calls if isinstance(one.func, ast.Name)}
    assert names == {"DAG", "KubernetesPodOperator", "Secret"}


def test_only_codes_that_may_be_tried_again_are() -> None:
    assert yaml.safe_load(DOCUMENTS["gitlab-ci.yml"].read_text())["bitbudget"]["retry"]["exit_codes"] == [5, 75, 124]
    assert "['5', '75', '124']" in DOCUMENTS["argo.yaml"].read_text()


@pytest.mark.parametrize(("code", "passed_on"), [(0, 0), (3, 0), (2, 2), (5, 5), (75, 75), (124, 124), (130, 130)])
def test_a_goal_that_is_not_met_is_no_failure_and_other_codes_are_passed_on(
    tmp_path: Path, code: int, passed_on: int
) -> None:
    """Argo and Kubeflow know success and failure only; Argo's retries look at the code."""
    (tmp_path / "examples/pipelines").mkdir(parents=True)
    (tmp_path / "examples/pipelines/run.sh").write_text(f"exit {code}\n")
    argo = yaml.safe_load(DOCUMENTS["argo.yaml"].read_text())["spec"]["templates"][0]["container"]["args"][0]
    kubeflow = yaml.safe_load(DOCUMENTS["kubeflow.yaml"].read_text())["implementation"]["container"]["command"][2]
    for script in (argo.replace("/job/", f"{tmp_path}/"), kubeflow):
        done = subprocess.run(["sh", "-c", script, str(tmp_path), "job.yaml", "http://x", "out"], check=False)
        assert done.returncode == passed_on, script


def test_the_options_of_the_command_are_those_of_the_program() -> None:
    text = (PIPELINES / "run.sh").read_text().replace("\\\n", " ")
    line = next(line for line in text.splitlines() if line.startswith("exec bitbudget"))
    arguments = shlex.split(line.partition(" > ")[0].replace('"$@"', ""))[2:]
    assert COMMANDS["submit"].make_context("submit", arguments[1:]).params["wait"]


# --- the page


@pytest.mark.parametrize("name", sorted(Settings.model_fields))
def test_settings_are_documented(name: str) -> None:
    table = pages()["docs/deploy.md"].split("## Settings", 1)[1].split("\n## ", 1)[0]
    assert re.search(rf"^\|.*`{name}`.*\|", table, re.MULTILINE), name


# --- by hand, what compose runs


@pytest.mark.slow
def test_what_compose_runs_works_with_postgresql(tmp_path: Path) -> None:
    """migrate, api without workers, two workers, the pipelines' command: on a real PostgreSQL, until the end."""
    with new_url("postgresql", migrated=False) as url:
        (tmp_path / "database_url").write_text(url + "\n")
        variables = {"BITBUDGET_DATABASE_URL_FILE": str(tmp_path / "database_url")}
        variables |= {"BITBUDGET_DATA_DIR": str(tmp_path / "data"), "BITBUDGET_HEARTBEAT_S": "0.5"}
        variables |= {"BITBUDGET_DEAD_S": "5"}
        early = subprocess.run(
            command("serve", "--port", "0"), check=False, env=environment(variables), capture_output=True, text=True
        )
        assert early.returncode != 0
        assert "bitbudget migrate" in early.stderr
        for _ in range(2):
            subprocess.run(
                command(*compose()["services"]["migrate"]["command"]), env=environment(variables), check=True
            )
        api = Served(tmp_path, free_port(), ("--workers", "0"), variables)
        worker = command(*compose()["services"]["worker"]["command"])
        with (tmp_path / "workers.log").open("wb") as log:
            workers = [subprocess.Popen(worker, env=environment(variables), stdout=log, stderr=log) for _ in range(2)]
        try:
            api.start()
            api.wait()
            folder = Path(sys.executable).parent
            path = {"PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}
            given = ["sh", str(PIPELINES / "run.sh"), str(ROOT / "examples/digits/job.yaml"), str(tmp_path / "out")]
            done = subprocess.run(
                given, check=False, env=api.variables | path, capture_output=True, text=True, timeout=300
            )
            assert done.returncode == 0, done.stderr + (tmp_path / "workers.log").read_text()[-3000:]
            ending = json.loads((tmp_path / "out/ending.json").read_text())
            assert ending["result"]["outcome"] == "met"
            assert (tmp_path / "out/files/report.html").is_file()
            for one in workers:
                one.terminate()
            assert [one.wait(60) for one in workers] == [0, 0]
            assert api.end() == 0
        finally:
            for one in workers:
                one.kill()
            if api.process is not None and api.process.poll() is None:
                api.kill()
