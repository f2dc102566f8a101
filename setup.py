"""How the repository becomes a distribution; everything static stands in pyproject.toml.

1. In a wheel, the packages of the repository lie below ``bitbudget``, so that nothing of ours has a name that a user's
   ``search.py`` or ``service/`` has, too: ``search`` becomes ``bitbudget._search``. Their import statements are
   rewritten on the way (docs/decisions/0011-installed-names.md). An editable install uses the repository as it is.
2. plotly.min.js is taken along from plotly's wheel (docs/decisions/0010-what-an-installation-brings.md).
"""

from __future__ import annotations

import ast
import importlib.util
import re
import shutil
from importlib import metadata
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py
from setuptools.command.egg_info import egg_info

INSTALLED = {
    "search": "bitbudget._search",
    "service": "bitbudget._service",
    "workers": "bitbudget._workers",
    "migrations": "bitbudget.migrations",
}
"""Package of the repository to its name in a wheel."""
PLOTLY = "plotly.min.js"
_IMPORT = re.compile(r"(\s*(?:from|import)\s+)(\w+)")


class BuildPackages(build_py):
    """Copies the packages, under their installed names unless the install is editable."""

    def run(self) -> None:
        """Build."""
        built = Path(self.build_lib)
        if not self.editable_mode:
            shutil.rmtree(built, ignore_errors=True)  # nothing of an earlier build goes into a wheel
        super().run()
        if not self.editable_mode:
            take_plotly(built / "search/export/templates")
            install_under(built)


class Information(egg_info):
    """Names the one package that an installation has."""

    def run(self) -> None:
        """Write the folder of metadata."""
        super().run()
        (Path(self.egg_info) / "top_level.txt").write_text("bitbudget\n")


def take_plotly(folder: Path) -> None:
    """Copy the chart library and its licence."""
    spec = importlib.util.find_spec("plotly")
    if spec is None or spec.origin is None:
        raise SystemExit("plotly is needed to build bitbudget: pip install plotly")
    shutil.copy(Path(spec.origin).parent / "package_data" / PLOTLY, folder / PLOTLY)
    licence = next(one for one in metadata.files("plotly") or () if one.name.startswith("LICENSE"))
    shutil.copy(str(licence.locate()), folder / f"{PLOTLY}.LICENSE.txt")


def install_under(built: Path) -> None:
    """Move the packages below ``bitbudget``, and rewrite what they and ``bitbudget`` itself import."""
    for name, installed in INSTALLED.items():
        target = built.joinpath(*installed.split("."))
        if (built / name).is_dir():
            (built / name).rename(target)
    for path in (built / "bitbudget").rglob("*.py"):
        text = path.read_text("utf-8")
        path.write_text(with_installed_names(text, where=str(path)), "utf-8")


def with_installed_names(text: str, *, where: str) -> str:
    """Return a module with imports by installed names.

    Args:
        text: The module.
        where: For messages.

    Raises:
        SystemExit: If an import cannot be rewritten line by line: ``import search`` binds a name that is not installed.
    """
    lines = text.splitlines(keepends=True)
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom) and node.level == 0:
            _rewrite(lines, node.lineno - 1, (node.module or "").partition(".")[0])
        elif isinstance(node, ast.Import) and any(one.name.partition(".")[0] in INSTALLED for one in node.names):
            if len(node.names) > 1 or node.names[0].asname is None:
                raise SystemExit(
                    f"{where}:{node.lineno}: import by 'from package import name', or give it 'as' a name."
                )
            _rewrite(lines, node.lineno - 1, node.names[0].name.partition(".")[0])
    return "".join(lines)


def _rewrite(lines: list[str], row: int, package: str) -> None:
    installed = INSTALLED.get(package)
    if installed is not None:
        lines[row] = _IMPORT.sub(lambda found: found[1] + installed, lines[row], count=1)


if __name__ == "__main__":
    setup(cmdclass={"build_py": BuildPackages, "egg_info": Information})
