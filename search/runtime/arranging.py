"""Which axis is the sample, for every input and output of a model: found from shapes, proven by running the model.

The forms that the shapes allow (``search.data.forms``) are tried from the documented one (samples first, batch first)
to the far-fetched. One holds if a sample gives the same answer alone and beside others. The first that holds is taken;
where two equally likely ones hold and give different answers, or none holds, the user is asked: nothing is guessed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, product

from search.arrays import Array
from search.data.casting import check_type, shape_error
from search.data.fed import Fed
from search.data.forms import Form, constant_form, forms_of
from search.data.inputs import InputInfo, shape_text
from search.data.layout import InputLayout
from search.data.names import check_names
from search.data.stored import Stored
from search.errors import InvalidDataError, UnsupportedModelError
from search.runtime.feeding import Feeding
from search.runtime.proving import Proof, Verdict, prove, same_answers
from search.runtime.session import Session
from search.spec.job import InputSettings

MAX_READINGS = 64
"""Combinations of forms that are tried."""
_BATCH_NAMES = ("batch", "batch_size", "batchsize", "n", "b", "bs")

Reading = Mapping[str, Form]


@dataclass(frozen=True, eq=False)
class Arrangement:
    """How a model is fed.

    Attributes:
        layouts: Model input to how samples lie in it.
        feeding: Samples per run, and where they lie in the outputs.
        given: Inputs whose value the job gives.
        mixes: Largest difference that the neighbours in a batch made to a sample's answer; 0 where they make none.
    """

    layouts: Mapping[str, InputLayout]
    feeding: Feeding
    given: Mapping[str, Array]
    mixes: float = 0.0


def arrange(
    session: Session,
    inputs: Sequence[InputInfo],
    sets: Sequence[Stored],
    settings: Mapping[str, InputSettings] | None = None,
) -> Arrangement:
    """Find out how samples lie in the inputs and outputs of a model.

    Args:
        session: The user's model.
        inputs: Its inputs.
        sets: The data; the model is run on samples of the first.
        settings: What the job says of inputs.

    Raises:
        InvalidDataError: If the data fits in no way, or in several that give different answers; says which key decides.
        UnsupportedModelError: If the model runs on no sample.
    """
    settings = settings or {}
    for each in sets:
        _check_not_empty(each, inputs)
    given = {name: value for name, (_, value) in _given(inputs, settings).items()}
    readings = _readings(inputs, sets, settings)
    tried: list[tuple[Reading, Proof]] = []
    for _, level in groupby(readings, key=_effort):
        proofs = [(one, _proven(session, sets[0], one, given)) for one in level]
        holding = [
            pair for pair in proofs if pair[1].verdict is Verdict.HOLDS and not _is_doubtful(pair, tried, sets[0])
        ]
        if not holding and not _refuted(tried):
            holding = [pair for pair in proofs if pair[1].verdict is Verdict.ONE_ONLY]
        if holding:
            _check_agreement(sets[0], holding)
            return _arrangement(*max(holding, key=lambda pair: pair[1].feeding.batch), given)
        tried += proofs
    stated = [pair for pair in tried if pair[1].is_runnable and _is_stated(pair[0], inputs, settings, pair[1])]
    if stated:
        return _arrangement(*stated[0], given)
    raise _refusal(sets[0], inputs, tried)


def _check_not_empty(stored: Stored, inputs: Sequence[InputInfo]) -> None:
    """Refuse a set without values, unless the model itself declares a size of 0."""
    for info in inputs:
        shape = stored.shapes.get(info.name, ())
        if 0 in shape and 0 not in (info.shape or ()):
            raise InvalidDataError(
                f"{stored.name}: holds no sample: input {info.name!r} is {shape_text(shape)}. Give at least one."
            )


def read(
    stored: Stored, inputs: Sequence[InputInfo], arrangement: Arrangement, settings: Mapping[str, InputSettings]
) -> Fed:
    """Read a set as the model was found to take it.

    Raises:
        InvalidDataError: If it cannot be read so.
    """
    wanted = _keys(arrangement.layouts)
    found = [one for one in _readings(inputs, [stored], settings) if _keys(_layouts(one)) == wanted]
    if not found:
        raise InvalidDataError(
            f"{stored.name}: its arrays do not lie as those of the other data do, where "
            f"{_described(arrangement.layouts.values())}. Store both sets in one way."
        )
    return stored.read(found[0], arrangement.given)


def _given(inputs: Sequence[InputInfo], settings: Mapping[str, InputSettings]) -> dict[str, tuple[Form, Array]]:
    found = {}
    for info in inputs:
        one = settings.get(info.name)
        if one is not None and one.has_value:
            try:
                found[info.name] = constant_form(info, one)
            except ValueError as error:
                raise InvalidDataError(
                    f"inputs.{info.name}.constant does not fit the input {shape_text(info.shape)}: {error}."
                ) from None
    return found


def _readings(
    inputs: Sequence[InputInfo], sets: Sequence[Stored], settings: Mapping[str, InputSettings]
) -> list[Reading]:
    """Combinations of forms of the first set in which all varying inputs of each set have as many samples."""
    given = _given(inputs, settings)
    fed = [info for info in inputs if info.name not in given]
    if not fed:
        raise InvalidDataError("Every input has a constant; at least one must vary from sample to sample.")
    per_set = [_of_set(one, fed, settings) for one in sets]
    common = set.intersection(*({_key_of(one) for one in found} for found in per_set))
    chosen = [
        {**one, **{name: form for name, (form, _) in given.items()}} for one in per_set[0] if _key_of(one) in common
    ]
    if not chosen:
        raise InvalidDataError(
            f"{' and '.join(one.name for one in sets)}: no axis can be the sample in all of them. "
            "Store them in one way, or set inputs.<name>.batch_axis."
        )
    ordered: list[Reading] = [{info.name: one[info.name] for info in inputs} for one in chosen]
    return sorted(ordered, key=_effort)[:MAX_READINGS]


def _of_set(stored: Stored, inputs: Sequence[InputInfo], settings: Mapping[str, InputSettings]) -> list[Reading]:
    check_names(stored.name, stored.shapes, inputs)
    options = []
    for info in inputs:
        check_type(stored.name, info, stored.dtypes[info.name])
        forms = forms_of(info, stored.shapes[info.name], settings.get(info.name), array=stored.array(info.name))
        if not forms:
            raise shape_error(stored.name, info, stored.shapes[info.name], settings.get(info.name))
        options.append(forms)
    counts = dict.fromkeys(form.n_samples for forms in options for form in forms if form.n_samples is not None)
    found = [reading for count in counts for reading in _with_count(inputs, options, count)]
    labelled = [one for one in found if not stored.label_counts or _fits_labels(one, stored.label_counts)]
    if not found:
        raise _unequal(stored, inputs)
    return labelled or found


def _with_count(inputs: Sequence[InputInfo], options: Sequence[Sequence[Form]], count: int) -> Iterator[Reading]:
    """Combinations of ``count`` samples; inputs of one shape and one kind of storage are read alike."""
    fitting = [[form for form in forms if form.n_samples in (None, count)] for forms in options]
    if not all(fitting):
        return
    kinds = {
        info.name: tuple((info.shape, info.dtype, _form_key(form)) for form in forms)
        for info, forms in zip(inputs, fitting, strict=True)
    }
    first = {kind: position for position, kind in reversed(list(enumerate(kinds.values())))}
    representatives = sorted(first.values())
    size = 1
    for position in representatives:
        size *= len(fitting[position])
    if size > 64 * MAX_READINGS:
        fitting = [forms[:2] for forms in fitting]
    for chosen in product(*(range(len(fitting[position])) for position in representatives)):
        picked = dict(zip(representatives, chosen, strict=True))
        reading = {
            info.name: forms[picked[first[kinds[info.name]]]] for info, forms in zip(inputs, fitting, strict=True)
        }
        if any(not form.layout.constant for form in reading.values()):
            yield reading


def _fits_labels(reading: Reading, counts: frozenset[int]) -> bool:
    varying = [form for form in reading.values() if form.n_samples is not None]
    n, block = varying[0].n_samples or 0, max(form.block for form in varying)
    return n in counts or n * max(1, block) in counts


def _proven(session: Session, stored: Stored, reading: Reading, given: Mapping[str, Array]) -> Proof:
    sizes = {size for form in reading.values() if (size := form.layout.per_run) is not None}
    if len(sizes) > 1:
        return Proof(Verdict.FAILS, reason=f"the inputs have different fixed batch sizes {sorted(sizes)}")
    fixed = next(iter(sizes), None)
    return prove(session, stored.read(reading, given), fixed=fixed)


def _refuted(tried: Sequence[tuple[Reading, Proof]]) -> list[tuple[Reading, Proof]]:
    """Likelier readings in which the model ran, but the samples did not keep their answers."""
    return [pair for pair in tried if pair[1].verdict in (Verdict.MIXES, Verdict.DOES_NOT_GROW)]


def _is_doubtful(pair: tuple[Reading, Proof], tried: Sequence[tuple[Reading, Proof]], stored: Stored) -> bool:
    """Whether a reading may not take the place of a likelier one that was refuted.

    It may if samples were run beside each other (one sample per run proves nothing), and if it reads the same samples
    or as many as there are labels.
    """
    refuted = _refuted(tried)
    if not refuted:
        return False
    reading, proof = pair
    first = all(form.stored_axis == 0 for form in reading.values())
    same = first and _count(reading) == _count(refuted[0][0])
    return not proof.compared or not (same or _fits_labels(reading, stored.label_counts))


def _check_agreement(stored: Stored, holding: Sequence[tuple[Reading, Proof]]) -> None:
    first = holding[0]
    for other in holding[1:]:
        if _count(other[0]) != _count(first[0]) or not same_answers(first[1].answers, other[1].answers):
            raise InvalidDataError(
                f"{stored.name}: can be read in more than one way: "
                f"{_described(_layouts(first[0]).values())}; or {_described(_layouts(other[0]).values())}. "
                f"Say which: set {_keys_to_set(first[0], other[0])}."
            )


def _arrangement(reading: Reading, proof: Proof, given: Mapping[str, Array]) -> Arrangement:
    return Arrangement(_layouts(reading), proof.feeding, given, mixes=proof.difference)


def _is_stated(
    reading: Reading, inputs: Sequence[InputInfo], settings: Mapping[str, InputSettings], proof: Proof
) -> bool:
    """Whether somebody said that these axes count samples: the job, or names of axes where nothing was mixed."""
    if any((form.layout.per_run or 1) > 1 for form in reading.values()):
        return False  # every run must hold several samples, and they change each other
    varying = [info for info in inputs if not reading[info.name].layout.constant]
    return all(
        (info.name in settings and settings[info.name].axis != "auto")
        or (proof.verdict is Verdict.DOES_NOT_GROW and _is_named_batch(info, reading[info.name].layout.axis))
        for info in varying
    )


def _is_named_batch(info: InputInfo, axis: int | None) -> bool:
    if axis is None or info.shape[axis] is not None or axis >= len(info.names):
        return axis is None
    return info.names[axis].lower() in _BATCH_NAMES


def _refusal(stored: Stored, inputs: Sequence[InputInfo], tried: Sequence[tuple[Reading, Proof]]) -> Exception:
    random = next((found for _, found in tried if found.verdict is Verdict.RANDOM), None)
    reading, proof = next(((one, found) for one, found in tried if found.is_runnable), tried[0])
    if proof.verdict is Verdict.FAILS:
        return UnsupportedModelError(f"The model runs on no sample of {stored.name}: {proof.reason}.")
    if random is not None:
        return UnsupportedModelError(
            f"The model gives different answers to the same sample (by {random.difference:.3g}), so nothing can be "
            "compared. Export it without random operators (dropout and sampling off)."
        )
    varying = [info for info in inputs if not reading[info.name].layout.constant]
    told = ", ".join(f"{info.name!r} {shape_text(info.shape)}" for info in varying)
    why = (
        f"changes by {proof.difference:.3g} of its size with the other samples of a run"
        if proof.verdict is Verdict.MIXES
        else "does not grow with the number of samples"
    )
    keys = " and ".join(f"inputs.{info.name}.batch_axis" for info in varying)
    is_fixed = any((form.layout.per_run or 1) > 1 for form in reading.values())
    way_out = (
        "; a batch that the model fixes above 1 cannot be run one by one: export it with a batch of 1 where the answer "
        "is meant to depend on the batch."
        if is_fixed
        else " (0 also where the answer is meant to depend on the batch: samples then run one by one)."
    )
    return InvalidDataError(
        f"{stored.name}: it cannot be told which axis of {told} is the sample: read with "
        f"{_described(_layouts(reading).values())}, output {proof.output!r} {why}. Set {keys} to the axis along which "
        f"samples lie, or to none where every run takes one whole sample{way_out}"
    )


def _unequal(stored: Stored, inputs: Sequence[InputInfo]) -> InvalidDataError:
    listed = ", ".join(
        f"{info.name} has {stored.shapes[info.name][0] if stored.shapes[info.name] else 1}" for info in inputs
    )
    return InvalidDataError(
        f"{stored.name}: inputs differ in their number of samples (axis 0): {listed}. Where an input is the same for "
        "every sample, store it once in the model's shape, or set inputs.<name>.constant."
    )


def _keys_to_set(first: Reading, other: Reading) -> str:
    names = [name for name in first if _form_key(first[name]) != _form_key(other[name])]
    return " and ".join(f"inputs.{name}.batch_axis (or constant: data)" for name in names)


def _layouts(reading: Reading) -> dict[str, InputLayout]:
    return {name: form.layout for name, form in reading.items()}


def _keys(layouts: Mapping[str, InputLayout]) -> tuple[tuple[str, int | None, bool], ...]:
    return tuple((name, one.axis, one.constant) for name, one in sorted(layouts.items()))


def _key_of(reading: Reading) -> tuple[tuple[str, int | None, bool], ...]:
    return _keys(_layouts(reading))


def _form_key(form: Form) -> tuple[object, ...]:
    return (form.layout.axis, form.layout.constant, form.stored_axis, form.drop, form.block, form.n_samples)


def _effort(reading: Reading) -> int:
    return max(form.effort for form in reading.values())


def _count(reading: Reading) -> int | None:
    return next(form.n_samples for form in reading.values() if form.n_samples is not None)


def _described(layouts: Iterable[InputLayout]) -> str:
    return ", ".join(_told(one) for one in layouts)


def _told(one: InputLayout) -> str:
    if one.constant:
        return f"{one.name!r} the same for every sample"
    return f"samples of {one.name!r} on axis {one.axis}" if one.axis is not None else f"one {one.name!r} per run"
