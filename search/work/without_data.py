"""A model taken in without data: random samples, and sizes that run where the model leaves them open."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path

from search.data.fed import Fed
from search.data.forms import declared_shape
from search.data.inputs import InputInfo, shape_text
from search.data.random import random_samples
from search.errors import InvalidDataError, InvalidModelError, UnsupportedModelError, UsageError
from search.graph.fusion import Fusion
from search.graph.load import read_model
from search.runtime.arranging import arrange, read
from search.runtime.session import Level, Session
from search.spec.job import InputSettings
from search.spec.suggestion import did_you_mean, listing
from search.work.loaded import Loaded, inputs_of, take_in

SIZES = (64, 224, 32, 128, 256, 320, 512, 640, 16, 48, 80, 10, 8, 4, 2, 1, 16000)
"""Tried in this order for sizes that are open and not the batch."""
MAX_GUESSED = 2**22
"""Numbers in one sample of the inputs whose sizes are tried: 640x640 pictures fit, eight open axes of 64 do not."""
Settings = Mapping[str, InputSettings]


@dataclass(frozen=True, eq=False)
class WithoutData:
    """A model and random samples for it.

    Attributes:
        loaded: The model, taken in.
        samples: What it was looked at with.
        assumed: Inputs whose open sizes were chosen here, with the shape of one sample's run.
    """

    loaded: Loaded
    samples: Fed
    assumed: Mapping[str, tuple[int, ...]]


def load_without_data(
    path: Path,
    *,
    seed: int,
    n_samples: int,
    threads: int = 1,
    shapes: Mapping[str, tuple[int, ...]] | None = None,
    fusion: Fusion | None = None,
) -> WithoutData:
    """Read a model and take it in with random samples.

    Args:
        path: The model file.
        seed: Of the samples.
        n_samples: How many.
        threads: Intra-op threads.
        shapes: Sizes of inputs, batch included; open ones that are not here are found by trying.
        fusion: What the runtime of the target joins; by default what an accelerator does.

    Raises:
        UsageError: If a shape does not fit an input, or no size that is tried runs.
        InvalidModelError: If the file is no usable model.
    """
    user = read_model(path)
    inputs = inputs_of(user)
    stated = check_shapes(inputs, shapes or {})
    session = Session(user.proto, level=Level.DEPLOYED, threads=threads)
    failed: Exception | None = None
    for settings in _candidates(inputs, stated):
        try:
            stored = random_samples(inputs, seed=seed, n_samples=n_samples, settings=settings)
            arrangement = arrange(session, inputs, [stored], settings)
        except (UnsupportedModelError, InvalidDataError, InvalidModelError) as error:
            failed = failed or error
            continue
        samples = read(stored, inputs, arrangement, settings)
        assumed = {name: one.shape for name, one in settings.items() if name not in stated and one.shape}
        return WithoutData(take_in(user, session, arrangement, samples, fusion=fusion), samples, assumed)
    raise _nothing_runs(inputs, failed)


def check_shapes(inputs: tuple[InputInfo, ...], shapes: Mapping[str, tuple[int, ...]]) -> dict[str, InputSettings]:
    """Return the settings that say these shapes.

    Raises:
        UsageError: If there is no such input, or a shape does not fit what the model declares.
    """
    known = {info.name: info for info in inputs}
    for name, shape in shapes.items():
        if name not in known:
            near = did_you_mean(name, known)
            raise UsageError(f"--shape {name}: the model has no input {name!r}{near}; it has {listing(known)}.")
        declared = known[name].shape
        if len(shape) != len(declared) or any(a not in (None, b) for a, b in zip(declared, shape, strict=True)):
            raise UsageError(
                f"--shape {name}={'x'.join(map(str, shape))} does not fit the model input {shape_text(declared)}. "
                "Give every size, the batch included; sizes that the model fixes stay."
            )
    return {name: InputSettings(shape=shape) for name, shape in shapes.items()}


def _candidates(inputs: tuple[InputInfo, ...], stated: Settings) -> Iterator[Settings]:
    """Settings with the open sizes closed, likely ones first; those stated alone where nothing else is open."""
    free = [info for info in inputs if info.name not in stated and None in info.shape[1:]]
    if not free:
        yield stated
        return
    for size in SIZES:
        closed = {info.name: _closed(info, size) for info in free}
        if sum(map(prod, closed.values())) <= MAX_GUESSED:
            yield {**stated, **{name: InputSettings(shape=shape) for name, shape in closed.items()}}


def _closed(info: InputInfo, size: int) -> tuple[int, ...]:
    """Sizes of one run of one sample: 1 for the batch, ``size`` for what else is open."""
    if info.shape[0] is not None and sum(one is None for one in info.shape) == 1:
        size = 1  # the only open axis is the batch, such as of a state [layers, batch, hidden]
    return tuple(
        (1 if axis == 0 else size) if known is None else known for axis, known in enumerate(declared_shape(info, None))
    )


def _nothing_runs(inputs: tuple[InputInfo, ...], failed: Exception | None) -> Exception:
    free = [info for info in inputs if None in info.shape[1:]]
    if not free and failed is not None:
        return failed
    example = " ".join(
        f"--shape {info.name}={'x'.join(str(size or '?') for size in (1, *info.shape[1:]))}" for info in free
    )
    return UsageError(
        f"The model leaves sizes open, and it runs at none of {', '.join(map(str, SIZES))}. Give them: {example}."
    )
