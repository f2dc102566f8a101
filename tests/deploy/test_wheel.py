"""The program as the image has it: a wheel in an environment of its own, on a root file system that is read-only."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.deploy.test_files import INSTRUCTIONS
from tests.docs.pages import ROOT
from tests.service.cli.served import Served, environment, free_port

pytestmark = pytest.mark.slow
DIGITS = ROOT / "examples/digits"
PACKAGES = {
    "bitbudget": "bitbudget",
    "search": "bitbudget/_search",
    "service": "bitbudget/_service",
    "workers": "bitbudget/_workers",
    "migrations": "bitbudget/migrations",
}
"""Folder of the repository to the one in a wheel."""
TAKEN = ("search", "service", "workers", "migrations", "tests")
"""Names that a user may have given to files and folders of her own."""


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    """A folder beside pytest's, because it is large."""
    folder = Path(tempfile.mkdtemp(prefix="bitbudget-wheel-"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def wheel(place: Path) -> Path:
    """Built from what the Dockerfile copies, as the Dockerfile builds it."""
    source = place / "source"
    source.mkdir()
    copied = next(text.split() for name, text in INSTRUCTIONS if name == "COPY")
    folders = [text.split() for name, text in INSTRUCTIONS if name == "COPY" and not text.startswith("--from")][1:]
    for name in copied[:-1]:
        shutil.copy(ROOT / name, source / name)
    for folder, target in folders:
        shutil.copytree(ROOT / folder, source / target, ignore=shutil.ignore_patterns("__pycache__"))
    pip(Path(sys.executable), "wheel", "--no-deps", "--wheel-dir", str(place), str(source))
    (found,) = place.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def program(place: Path, wheel: Path) -> Path:
    """The command, installed with its dependencies outside the repository."""
    target = place / "environment"
    subprocess.run([sys.executable, "-m", "venv", str(target)], check=True)
    pip(target / "bin/python", "install", f"{wheel}[all]")
    return target / "bin/bitbudget"


def pip(python: Path, *arguments: str) -> None:
    given = [str(python), "-m", "pip", "--disable-pip-version-check", *arguments]
    done = subprocess.run(given, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]


def test_the_wheel_has_every_file_of_the_packages(wheel: Path) -> None:
    listed = subprocess.run(["git", "ls-files", *PACKAGES], cwd=ROOT, capture_output=True, text=True, check=True)
    wanted = {
        f"{PACKAGES[folder]}/{rest}"
        for folder, _, rest in (one.partition("/") for one in listed.stdout.split())
        if not rest.endswith(".mako")  # only for writing new migrations
    }
    assert len(wanted) > 200
    assert wanted <= set(zipfile.ZipFile(wheel).namelist())


def test_the_wheel_has_the_chart_library_with_its_licence(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        assert archive.getinfo("bitbudget/_search/export/templates/plotly.min.js").file_size > 1_000_000
        assert b"MIT" in archive.read("bitbudget/_search/export/templates/plotly.min.js.LICENSE.txt")


def test_the_wheel_takes_one_name_and_says_what_it_is(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        (information,) = (one for one in names if one.endswith(".dist-info/METADATA"))
        metadata = archive.read(information).decode()
    assert {one.partition("/")[0] for one in names} == {"bitbudget", information.partition("/")[0]}
    assert "License-Expression: Apache-2.0" in metadata
    assert "Author: bitbudget maintainers" in metadata
    assert any(one.endswith("licenses/LICENSE") for one in names)


@pytest.fixture(scope="module")
def core(place: Path, wheel: Path) -> Path:
    """Python of an environment with the wheel, beside the libraries that this one has; the repository is not in it."""
    target = place / "core"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(target)], check=True)
    pip(Path(sys.executable), "--python", str(target / "bin/python"), "install", "--no-deps", str(wheel))
    site = target / f"lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages"
    (site / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return target / "bin/python"


@pytest.fixture
def crowded(tmp_path: Path) -> Path:
    """A folder full of names that ours might take for its own."""
    for name in TAKEN:
        (tmp_path / f"{name}.py").write_text("raise ImportError('this is the file of a user')\n")
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise ImportError('this is the folder of a user')\n")
    return tmp_path


@pytest.mark.parametrize("more", [[], ["--jobs", "2"]], ids=["one process", "two processes"])
def test_a_search_runs_beside_files_of_the_same_names(core: Path, crowded: Path, more: list[str]) -> None:
    given = ["-m", "bitbudget", "search", "--spec", str(DIGITS / "job.yaml"), "--out", "out", *more]
    done = subprocess.run([core, *given], cwd=crowded, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads((crowded / "out/result.json").read_text())["outcome"] == "met"


def test_what_a_user_calls_search_is_hers(core: Path, tmp_path: Path) -> None:
    (tmp_path / "search.py").write_text("mine = True\n")
    code = "import search; from bitbudget._service.cli.commands import HELP; print(HELP.split()[0], search.mine)"
    done = subprocess.run([core, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stdout == "Find True\n", done.stderr


READ_ONLY = 'mount --bind "$1" "$1" && mount --options remount,bind,ro / && shift && exec "$@"'


def confined(folder: Path) -> list[str]:
    """What lets a command write below ``folder`` only; nothing where this machine does not let us."""
    given = ["unshare", "--mount", "sh", "-c", READ_ONLY, "sh", str(folder)]
    tried = subprocess.run([*given, "touch", "/tmp/bitbudget-no"], capture_output=True, text=True, check=False)
    return given if "Read-only file system" in tried.stderr else []


class Installed(Served):
    """A server of the installed program, as the image runs it."""

    program: Path

    def start(self) -> None:
        place = {"BITBUDGET_DATA_DIR": str(self.folder / "data"), "HOME": "/nonexistent", "TMPDIR": str(self.folder)}
        with (self.folder / "serve.out").open("ab") as out, (self.folder / "serve.err").open("ab") as err:
            self.process = subprocess.Popen(
                [*confined(self.folder), str(self.program), "serve", "--port", str(self.port)],
                env=environment({**place, "PYTHONDONTWRITEBYTECODE": "1"}),
                cwd=self.folder,
                stdout=out,
                stderr=err,
            )

    def call(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """A command beside it."""
        given = [str(self.program), *arguments]
        return subprocess.run(
            given, env=self.variables, cwd=self.folder, capture_output=True, text=True, timeout=300, check=False
        )


def written(folder: Path) -> set[Path]:
    return set(folder.rglob("*"))


def test_the_installed_program_serves_and_searches_and_writes_into_its_folder_only(place: Path, program: Path) -> None:
    folder = place / "served"
    folder.mkdir()
    shutil.copytree(DIGITS, folder / "digits")
    for name in TAKEN:
        (folder / f"{name}.py").write_text("raise ImportError('this is the file of a user')\n")
    before = written(program.parents[1])
    server = Installed(folder, free_port())
    server.program = program
    server.start()
    try:
        server.wait()
        job = ["--spec", "digits/job.yaml", "--wait", "--json", "--output", "out", "--result-file", "ending.json"]
        done = server.call("submit", *job)
        assert done.returncode == 0, done.stderr + server.log[-3000:]
        ending = json.loads((folder / "ending.json").read_text())
        assert (ending["exit_code"], ending["result"]["outcome"]) == (0, "met")
        assert (folder / "out/report.html").is_file()
        page = httpx.get(f"{server.url}/login")
        assert page.status_code == 200
        for link in re.findall(r'(?:src|href)="(/static/[^"]+)"', page.text):
            assert httpx.get(f"{server.url}{link}").status_code == 200, link
        doctor = server.call("doctor", "--data-dir", "data", "--json")
        assert doctor.returncode == 0, doctor.stdout
        assert server.end() == 0
    finally:
        if server.process is not None and server.process.poll() is None:
            server.kill()
    assert {
        one for one in written(program.parents[1]) - before if one.name != "__pycache__" and one.suffix != ".pyc"
    } == set()
