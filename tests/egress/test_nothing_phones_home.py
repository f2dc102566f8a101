"""Command line, server, worker and evaluator talk to nobody but their own database and their own machine.

Without ``CI`` in the environment: there, libraries that report keep still.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import search
from service.client import Client
from service.client.retries import Retries
from tests.docs.pages import ROOT
from tests.egress.traced import home
from tests.service.cli.served import free_port
from tests.study.small import Files, write
from tests.workers.installation import children_of

ONE_SESSION = (
    "from onnx import TensorProto as T, helper as h\n"
    "value = lambda name: h.make_tensor_value_info(name, T.FLOAT, [1])\n"
    "graph = h.make_graph([h.make_node('Relu', ['x'], ['y'])], 'g', [value('x')], [value('y')])\n"
    "model = h.make_model(graph, opset_imports=[h.make_opsetid('', 17)], ir_version=9)\n"
    "import onnxruntime\n"
    "onnxruntime.InferenceSession(model.SerializeToString())\n"
)


def spec_of(files: Files) -> tuple[str, ...]:
    return (*files.arguments, "--target", "j6m", "--max-drop", "0.01", "--strategy", "ladder")


def test_the_oracle_sees_connections_names_and_files(tmp_path: Path) -> None:
    watched = home(tmp_path)
    code = (
        "import pathlib, socket\n"
        "pathlib.Path.home().joinpath('left').touch()\n"
        "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.sendto(b'x', ('192.0.2.1', 9))\n"
        "s = socket.socket(); s.settimeout(0.1)\n"
        "try: s.connect(('192.0.2.2', 443))\n"
        "except OSError: pass\n"
        "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.connect(('127.0.0.1', 53))\n"
    )
    assert watched.run("-c", code).returncode == 0
    assert watched.strangers() == {("192.0.2.1", 9), ("192.0.2.2", 443), ("127.0.0.1", 53)}
    assert watched.left() == ["left"]


def test_the_switch_is_needed_and_is_set_by_whatever_imports_the_core(tmp_path: Path) -> None:
    watched = home(tmp_path)
    assert watched.run("-c", f"import search.runtime\n{ONE_SESSION}").returncode == 0
    assert watched.left() == []


@pytest.mark.parametrize(
    "package", ["search", "search.runtime.session", "service.cli.search", "workers", "workers.evaluator"]
)
def test_every_package_that_may_load_a_runtime_sets_the_switches_first(package: str) -> None:
    names = sorted(search.telemetry.SWITCHES)
    code = (
        "import os, sys\n"
        "class Watch:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'onnxruntime' and 'ORT_DISABLE_TELEMETRY' not in os.environ: sys.exit('too late')\n"
        "sys.meta_path.insert(0, Watch())\n"
        f"import {package}\n"
        f"print([os.environ[name] for name in {names!r}])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={name: value for name, value in os.environ.items() if name not in names},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.strip() == str([search.telemetry.SWITCHES[name] for name in names]), done.stderr


@pytest.mark.parametrize("script", ["ort_quantize.py.txt", "knight_infer.py.txt"])
def test_generated_scripts_set_the_switch_before_they_load_a_runtime(script: str) -> None:
    text = (ROOT / "search/export/templates" / script).read_text()
    loads = re.search(r"^\s*(import|from) onnxruntime", text, re.MULTILINE)
    switch = text.find('os.environ["ORT_DISABLE_TELEMETRY"] = "1"')
    assert loads is not None
    assert 0 <= switch < loads.start()


@pytest.mark.slow
@pytest.mark.parametrize("jobs", ["1", "2"])
def test_a_search_talks_to_nobody_and_leaves_nothing_at_home(tmp_path: Path, jobs: str) -> None:
    watched = home(tmp_path)
    files = write(tmp_path)
    out = str(tmp_path / "out")
    done = watched.run("-m", "bitbudget", "search", *spec_of(files), "--out", out, "--jobs", jobs)
    assert done.returncode in (0, 1), done.stderr
    assert (tmp_path / "out/result.json").exists()
    assert watched.talked_to() == set()
    assert watched.left() == []


@pytest.mark.slow
def test_a_server_its_worker_and_evaluator_talk_to_nobody(tmp_path: Path) -> None:
    watched = home(tmp_path)
    files = write(tmp_path)
    port = free_port()
    variables = {**watched.variables, "BITBUDGET_DATA_DIR": str(tmp_path / "data")}
    log = tmp_path / "serve.out"
    with log.open("wb") as out, (tmp_path / "serve.err").open("wb") as err:
        server = subprocess.Popen(
            watched.command("-m", "bitbudget", "serve", "--port", str(port), "--workers", "1"),
            env=variables,
            stdout=out,
            stderr=err,
        )
    try:
        _study(f"http://127.0.0.1:{port}", log, files)
    finally:
        for traced in children_of(server.pid):  # strace itself does not end by a signal
            os.kill(traced, signal.SIGTERM)
        server.wait(120)
    assert {address for address, _ in watched.talked_to()} <= {"127.0.0.1"}
    assert watched.strangers() == set()
    assert watched.left() == []
    assert len(list(watched.traces.iterdir())) > 3, "server, worker, fork server and evaluator were traced"


def _study(url: str, log: Path, files: Files) -> None:
    """Let the server compute a study to its end."""
    deadline = time.monotonic() + 240
    while not (keys := re.findall(r"bbk_\S+", log.read_text())):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    with Client(url, keys[0], retries=Retries(outage_s=120)) as client:
        digest = {name: client.blobs.put(getattr(files, name)) for name in ("model", "calibration", "evaluation")}
        spec = {
            "schema": "bitbudget.job/1",
            "model": digest["model"],
            "data": {name: digest[name] for name in ("calibration", "evaluation")},
            "target": {"name": "j6m"},
            "search": {"strategy": "ladder"},
        }
        study = client.studies.wait(client.studies.submit(spec).id)
    assert study.state == "succeeded", study.error
