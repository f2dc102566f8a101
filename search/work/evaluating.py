"""``evaluate``, ``recheck`` and ``confirm``: one configuration on a range of samples.

``recheck`` does what ``evaluate`` did with the exported file, read back from its bytes; ``confirm`` uses samples the
search never saw.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy

from search.errors import ExportMismatchError
from search.evaluation.configuration import Configuration
from search.evaluation.measure import Measured, Runnable, Use, measure, outputs_of
from search.runtime.session import Level, Session
from search.work.item_runner import ItemRunner, Raw
from search.work.model_run import model_run

Array = npt.NDArray[Any]
N_WORST = 32
"""Bad cases kept per value and error."""


def run_evaluate(runner: ItemRunner, params: Mapping[str, Any]) -> Raw:
    """Measure one configuration on ``range`` of the order.

    What the integer arithmetic of the chip cannot run at all is measured as a Q/DQ model and marked infeasible, so
    that a strategy still learns where its errors are.
    """
    configuration = Configuration.from_json(params["configuration"])
    extra = [name for name in params["errors_of"] if name not in runner.loaded.template.outputs]
    start, stop = params["range"]
    indices = runner.order_of(params)[start:stop]
    model = runner.evaluable(configuration, params["evaluator"], extra)
    measured = _measure(runner, model.session, indices, params, is_last=stop >= len(runner.order))
    return Raw(
        {
            "parts": {name: part.to_json() for name, part in measured.parts.items()},
            "digest": measured.digest,
            "worst": _worst(measured, indices, look_at=_looked_at(params, start)),
            "errors": _sums(measured),
            "infeasible": model.infeasible(),
            **model.notes,
        }
    )


def run_recheck(runner: ItemRunner, params: Mapping[str, Any]) -> Raw:
    """Evaluate the exported file, read back from its bytes, and compare bit by bit with what was measured.

    Ranges without a digest have not been measured before: there the exported file speaks first. The file comes with the
    first samples only.

    Raises:
        ExportMismatchError: If an output differs.
    """
    configuration = Configuration.from_json(params["configuration"])
    data, session = runner.exported(configuration)
    parts: dict[str, list[Any]] = {}
    digests = []
    for start, stop, digest in params["ranges"]:
        order = runner.order_of(params)
        measured = _measure(runner, session, order[start:stop], params, is_last=stop >= len(order))
        digests.append(measured.digest)
        if digest is not None and measured.digest != digest:
            raise ExportMismatchError(
                f"The exported model gives other outputs than were measured on samples {start} to {stop} of the order. "
                "Nothing was delivered; please report this model."
            )
        for name, part in measured.parts.items():
            parts.setdefault(name, []).append(part.to_json())
    return Raw({"parts": parts, "digests": digests}, {"model": data} if params["ranges"][0][0] == 0 else {})


def run_confirm(runner: ItemRunner, params: Mapping[str, Any]) -> Raw:
    """Measure the exported file once on the confirmation samples."""
    samples = runner.confirmation
    if samples is None:
        raise ValueError("This study has no confirmation samples.")
    session = Session(runner.files.get(params["model"]), level=runner.level, threads=runner.problem.threads)
    loaded, uses = runner.loaded, runner.uses(params["uses"])
    names = list(dict.fromkeys(name for use in uses for name in use.outputs))

    def reference(indices: npt.NDArray[np.int64]) -> Mapping[str, Array]:
        return outputs_of(loaded.user_session, samples, loaded.feeding, indices, names)

    indices = np.arange(samples.n_samples)
    compares = any(use.metric.is_fidelity for use in uses)  # else nothing needs the float outputs
    measured = measure(session, samples, loaded.feeding, indices, uses=uses, reference=reference if compares else None)
    return Raw({"parts": {name: part.to_json() for name, part in measured.parts.items()}, "n": samples.n_samples})


def run_unoptimized(runner: ItemRunner, params: Mapping[str, Any]) -> Raw:
    """Measure the exported file with every optimization off."""
    session = Session(runner.files.get(params["model"]), level=Level.PLAIN, threads=runner.problem.threads)
    start, stop = params.get("range", (0, len(runner.order)))
    order = runner.order_of(params)
    measured = _measure(runner, session, order[start:stop], {**params, "errors_of": []}, is_last=stop >= len(order))
    return Raw({"parts": {name: part.to_json() for name, part in measured.parts.items()}})


def _measure(
    runner: ItemRunner,
    session: Runnable,
    indices: npt.NDArray[np.int64],
    params: Mapping[str, Any],
    *,
    is_last: bool,
) -> Measured:
    """Measure some samples; loops of the user's own run once, with the last of them."""
    uses: tuple[Use, ...] = runner.uses(params["uses"])
    outputs = set(runner.loaded.template.outputs)
    inner = [name for name in params["errors_of"] if name not in outputs]

    plain = list(
        dict.fromkeys([name for use in uses for name in use.outputs] + [n for n in params["errors_of"] if n in outputs])
    )

    def reference(batch: npt.NDArray[np.int64]) -> Mapping[str, Array]:
        values = runner.float_outputs(params["float"], batch, plain)
        return {**values, **runner.inner_values(inner, batch)} if inner else values

    return measure(
        session,
        runner.evaluation,
        runner.loaded.feeding,
        indices,
        uses=uses,
        reference=reference,
        errors_of=params["errors_of"],
        transforms={name: TRANSFORMS[kind] for name, kind in params["transforms"].items()},
        loop=model_run(session, runner.sets["evaluation"], runner.loaded.feeding) if is_last else None,
    )


def _softmax(x: Array) -> Array:
    return np.asarray(scipy.special.softmax(x, axis=-1))


def _sigmoid(x: Array) -> Array:
    return np.asarray(scipy.special.expit(x))


TRANSFORMS = {"softmax": _softmax, "sigmoid": _sigmoid}
"""Post-processing that lives outside the ONNX file, for ranking only."""


def _looked_at(params: Mapping[str, Any], start: int) -> int | None:
    """How many samples of the range may be bad cases; None for all."""
    limit = params["badcase"]
    return None if limit is None else max(0, limit - start)


def _worst(
    measured: Measured, indices: npt.NDArray[np.int64], *, look_at: int | None
) -> dict[str, dict[str, list[tuple[int, float]]]]:
    """Samples with the largest errors, largest first; ties by position in the order."""
    return {
        name: {error: _top(values[:look_at], indices) for error, values in by_error.items()}
        for name, by_error in measured.errors.items()
    }


def _sums(measured: Measured) -> dict[str, dict[str, float]]:
    """Value to error name to the sum over the samples."""
    return {
        name: {error: float(np.sum(values, dtype=np.float64)) for error, values in by_error.items()}
        for name, by_error in measured.errors.items()
    }


def _top(values: Sequence[float] | Array, indices: npt.NDArray[np.int64]) -> list[tuple[int, float]]:
    order = np.argsort(-np.asarray(values, dtype=np.float64), kind="stable")[:N_WORST]
    return [(int(indices[i]), float(values[i])) for i in order]
