"""All commands in one application."""

from __future__ import annotations

import typer

from service.cli import keys
from service.cli.calibrate_cost import calibrate_cost
from service.cli.cancel import cancel
from service.cli.check import check
from service.cli.doctor import doctor
from service.cli.download import download
from service.cli.measure_cost import measure_cost
from service.cli.migrate import migrate
from service.cli.search import search
from service.cli.serve import serve
from service.cli.status import status
from service.cli.submit import submit
from service.cli.targets import targets
from service.cli.worker import worker

app = typer.Typer(
    name="bitbudget",
    help="Find the cheapest int8/int16/fp16 assignment of an ONNX network that meets its accuracy goal.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command()(search)
app.command()(check)
app.command()(targets)
app.command()(calibrate_cost)
app.command()(measure_cost)
app.command()(serve)
app.command()(worker)
app.command()(migrate)
app.command()(doctor)
app.add_typer(keys.app, name="keys")
app.command()(submit)
app.command()(status)
app.command()(cancel)
app.command()(download)
