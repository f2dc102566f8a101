"""``bitbudget submit``: a study of these inputs on a server, and on demand its end."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Annotated, Any

import typer

from search.errors import SearchError, UsageError
from search.spec.flags import SPEC_FLAGS, merge_flags
from search.spec.load import build_job, read_spec
from service.cli.connection import KeyFileOption, UrlOption, connect
from service.cli.exits import Exit, exit_of_client_error, exit_of_error, exit_of_study
from service.cli.result_file import Ending, interrupted_by_sigterm, write_ending
from service.cli.search import search
from service.cli.sending import Sending, is_reference
from service.cli.shared_options import GOAL_PATHS, PATH_FLAGS, with_options_of
from service.cli.study_lines import print_study, say, watcher
from service.client import Client
from service.client.errors import ApiError, ClientError, WaitTimeoutError
from service.client.retries import Retries
from service.contract import Study

RESULT = "result.json"


@with_options_of(search, {*SPEC_FLAGS, "spec"})
def submit(  # one parameter per option
    context: typer.Context,
    *,
    wait: Annotated[bool, typer.Option("--wait", help="Wait for the end; the exit code is that of the study.")] = False,
    output: Annotated[
        Path | None, typer.Option(help="Directory for the delivered files; waits for the end.", show_default=False)
    ] = None,
    timeout: Annotated[float | None, typer.Option(min=0, help="Longest wait in seconds; then exit 124.")] = None,
    max_outage: Annotated[float, typer.Option(min=0, help="Seconds the server may be away while waiting.")] = 600.0,
    cancel_on_interrupt: Annotated[
        bool, typer.Option("--cancel-on-interrupt", help="Ctrl-C or SIGTERM cancels the study too.")
    ] = False,
    name: Annotated[str | None, typer.Option(help="What to call the study; the model file's name by default.")] = None,
    priority: Annotated[int | None, typer.Option(help="Higher goes first.")] = None,
    reuse_finished: Annotated[
        bool, typer.Option("--reuse-finished", help="Take a finished study of the same content instead.")
    ] = False,
    idempotency_key: Annotated[
        str | None, typer.Option(help="The same key again gives the same study; for steps that are repeated.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check and estimate only; nothing is queued.")] = False,
    result_file: Annotated[
        Path | None, typer.Option(help="Where the ending is written as JSON, whatever happens.")
    ] = None,
    url: UrlOption = None,
    api_key_file: KeyFileOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Submit a study to a server: the same job as 'search', the inputs are uploaded."""
    given = context.params
    flags = {one: given[one] for one in SPEC_FLAGS if given[one] is not None}
    order = Order(
        flags=flags,
        spec=given["spec"],
        waits=wait or output is not None,
        output=output,
        timeout_s=timeout,
        max_outage_s=max_outage,
        cancels=cancel_on_interrupt,
        name=name,
        priority=priority,
        reuse=reuse_finished,
        idempotency_key=idempotency_key,
        is_dry=dry_run,
    )
    with _ended(result_file, as_json=as_json) as ending, interrupted_by_sigterm():
        with connect(url, api_key_file, retries=Retries(outage_s=60.0)) as client:
            ending.exit_code = run_order(client, order, ending)
        if not as_json and ending.study is not None:
            print_study(ending.study, ending.result, output)
        if not as_json and ending.estimate is not None:
            typer.echo(json.dumps(ending.estimate, indent=1))
    raise typer.Exit(ending.exit_code or 0)


@dataclass(frozen=True, kw_only=True)
class Order:
    """What the command line asked for; the attributes are its options.

    Attributes:
        flags: Options that shape the spec, those that were given.
        spec: Spec file under the flags.
        waits: Whether the end is waited for.
        output: Directory for the delivered files.
        timeout_s: Longest wait.
        max_outage_s: How long the server may be away at once.
        cancels: Whether an interrupt cancels the study.
        name: What to call it.
        priority: Higher goes first.
        reuse: Whether a finished study of the same content will do.
        idempotency_key: Makes repeated commands one study.
        is_dry: Whether it is only checked.
    """

    flags: Mapping[str, Any]
    spec: Path | None
    waits: bool
    output: Path | None
    timeout_s: float | None
    max_outage_s: float
    cancels: bool
    name: str | None
    priority: int | None
    reuse: bool
    idempotency_key: str | None
    is_dry: bool


def run_order(client: Client, order: Order, ending: Ending) -> int:
    """Submit, wait, fetch as ordered; note in ``ending`` what is known at each moment. Return the exit code.

    Raises:
        SearchError: If the request cannot be understood.
        ClientError: If the server does not do it.
    """
    values = _values(order)
    _check_output(order.output)
    base = Path() if order.spec is None else order.spec.parent
    absolute = PATH_FLAGS.intersection(order.flags) | ({"metric"} if order.flags.keys() & GOAL_PATHS else set())
    spec = Sending(client=client, base=base, absolute=frozenset(absolute), say=say).send(values)
    if order.is_dry:
        ending.estimate = dict(client.studies.estimate(spec).raw)
        return Exit.MET
    name = order.name or _name_of(values)
    study = client.studies.submit(spec, name=name, reuse=order.reuse, idempotency_key=order.idempotency_key)
    ending.study = dict(study.raw)
    say(f"study {study.id} is {study.state}")
    if not order.waits:
        return Exit.MET
    study = _wait(client, study, order)
    ending.study = dict(study.raw)
    ending.result = _fetch(client, study, order.output)
    return exit_of_study(study)


def _name_of(values: Mapping[str, Any]) -> str | None:
    """The model file's name without its ending, and the chip; None where the model is one the server has."""
    model, target = values.get("model"), values.get("target")
    chip = target.get("name") if isinstance(target, Mapping) else target
    if not isinstance(model, str) or is_reference(model):
        return None
    stem = "".join(c for c in PurePath(model).stem if c.isprintable())
    return f"{stem} on {chip}"[:200] if stem and chip else None


def _values(order: Order) -> dict[str, Any]:
    """The values of the spec with the options laid over them, checked."""
    values: dict[str, Any] = {"schema": "bitbudget.job/1"}
    if order.spec is not None:
        try:
            values = read_spec(order.spec.read_text(), where=str(order.spec))
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"The spec {str(order.spec)!r} cannot be read: {error}.") from None
    merged = merge_flags(values, order.flags)
    if order.priority is not None:
        merged["run"] = {**(merged.get("run") or {}), "priority": order.priority}
    build_job(merged)
    return merged


def _check_output(output: Path | None) -> None:
    if output is None:
        return
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"--output {str(output)!r} cannot be made: {error.strerror}.") from None


def _wait(client: Client, study: Study, order: Order) -> Study:
    try:
        with watcher() as watch:
            return client.studies.wait(
                study.id, timeout_s=order.timeout_s, max_outage_s=order.max_outage_s, watch=watch
            )
    except (KeyboardInterrupt, WaitTimeoutError) as end:
        if isinstance(end, KeyboardInterrupt) and order.cancels:
            with suppress(ClientError):
                client.studies.cancel(study.id)
                say(f"study {study.id} is being cancelled")
        else:
            say(f"study {study.id} goes on; see it with: bitbudget status {study.id} --wait")
        raise


def _fetch(client: Client, study: Study, output: Path | None) -> dict[str, Any] | None:
    """Download everything, or only the result; return the result if there is one."""
    if RESULT not in {one.name for one in client.studies.artifacts(study.id)}:
        if output is not None:
            client.studies.download(study.id, output)
        return None
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) if output is None else output
        client.studies.download(study.id, folder, names=() if output is not None else (RESULT,))
        found: dict[str, Any] = json.loads((folder / RESULT).read_text())
        return found


@contextmanager
def _ended(path: Path | None, *, as_json: bool) -> Iterator[Ending]:
    """Yield the ending, and write it however the block is left."""
    ending = Ending()
    if path is not None:
        write_ending(path, ending)  # a command that is killed leaves this
    try:
        yield ending
    except BaseException as error:
        ending.exit_code, ending.error = _explained(error)
        raise
    finally:
        if path is not None:
            write_ending(path, ending)
        if as_json:
            typer.echo(ending.text(), nl=False)


def _explained(error: BaseException) -> tuple[int, dict[str, Any]]:
    """Exit code and cause, as ``main`` will leave."""
    if isinstance(error, ApiError):
        more = {"hint": error.hint, "pointers": error.pointers, "request_id": error.request_id}
        return exit_of_client_error(error), {"code": error.code, "message": error.detail, **more}
    if isinstance(error, ClientError):
        return exit_of_client_error(error), {"code": type(error).__name__, "message": str(error)}
    if isinstance(error, SearchError):
        return exit_of_error(error), {"code": type(error).__name__, "message": str(error)}
    if isinstance(error, KeyboardInterrupt):
        return Exit.INTERRUPTED, {"code": "interrupted", "message": "The command was interrupted."}
    return Exit.FAILED, {"code": type(error).__name__, "message": str(error)}
