"""The defaults of a spec that depend on the model, the data and the chip.

Goals: with labels and no goal, top1 on the only output ``[N, C]``, at most 0.01 below float. A fidelity metric without
output is one goal per output, and one per part of an output whose parts have very different ranges. Target: the
tool-chain version where the user gave none.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from search.errors import UsageError
from search.spec.goals import Goal
from search.spec.job import Target
from search.spec.metric_names import METRICS
from search.spec.output_part import output_of
from search.spec.suggestion import did_you_mean, listing

DEFAULT_LABELS = "labels"
DEFAULT_J6_TOOLCHAIN = "3.9.1"


@dataclass(frozen=True, slots=True)
class OutputInfo:
    """A model output.

    Attributes:
        name: Its name.
        shape: Batch axis included; None is a size not known before running.
        parts: Texts of its parts (``y[:, :4]``), where their ranges are too different for one goal.
    """

    name: str
    shape: tuple[int | None, ...]
    parts: tuple[str, ...] = ()

    @property
    def has_classes(self) -> bool:
        """Whether the shape is ``[N, C]`` with more than one class."""
        return len(self.shape) == 2 and self.shape[1] != 1

    def __str__(self) -> str:
        return f"{self.name} [{', '.join('?' if size is None else str(size) for size in self.shape)}]"


def resolve_target(target: Target) -> Target:
    """Return the target with its tool-chain filled in: 3.9.1 on ``j6*``, else none."""
    if target.toolchain is not None or not target.name.startswith("j6"):
        return target
    return target.model_copy(update={"toolchain": DEFAULT_J6_TOOLCHAIN})


def resolve_goals(goals: Sequence[Goal], outputs: Sequence[OutputInfo], label_keys: Iterable[str]) -> tuple[Goal, ...]:
    """Return the goals with output, labels and ranking filled in.

    Args:
        goals: The goals of the spec; empty means the default goal.
        outputs: Outputs of the model.
        label_keys: Names of the label arrays in the evaluation set.

    Raises:
        UsageError: If the default does not apply, an output or label array does not exist or is not the only choice,
            or two goals have the same metric and output.
    """
    keys = tuple(label_keys)
    wanted = goals or (_default_goal(outputs, keys),)
    resolved = tuple(goal for given in wanted for goal in _resolve(given, outputs, keys))
    ids = [goal.id for goal in resolved]
    twice = next((name for i, name in enumerate(ids) if name in ids[:i]), None)
    if twice is not None:
        raise UsageError(f"Goal {twice!r} is given twice; keep the stricter one.")
    return resolved


def _default_goal(outputs: Sequence[OutputInfo], keys: tuple[str, ...]) -> Goal:
    if DEFAULT_LABELS not in keys:
        have = f"has {listing(keys)} beside the inputs" if keys else "has none"
        raise UsageError(
            f"No goal is given, and top1 needs a label array {DEFAULT_LABELS!r}; the evaluation set {have}. "
            f"Give --metric or --goal, such as --goal 'cosine,min-value=0.99'. Outputs: {_listed(outputs)}."
        )
    return Goal(metric="top1", output=_class_output("top1", outputs).name, labels=DEFAULT_LABELS)


def _resolve(goal: Goal, outputs: Sequence[OutputInfo], keys: tuple[str, ...]) -> list[Goal]:
    if goal.output is not None:
        _check_named(goal, goal.output, outputs)
        chosen = [goal.output]
    elif goal.is_fidelity:
        chosen = [text for output in outputs for text in output.parts or (output.name,)]
    elif goal.is_python and len(outputs) > 1:
        return [goal.model_copy(update={"labels": _labels(goal, keys), "ranking": goal.ranking or "cosine"})]
    else:
        chosen = [_only_output(goal, outputs).name]
    labels = None if goal.is_fidelity else _labels(goal, keys)
    ranking = goal.ranking or (METRICS[goal.metric].ranking if goal.metric in METRICS else "cosine")
    return [goal.model_copy(update={"output": text, "labels": labels, "ranking": ranking}) for text in chosen]


def _check_named(goal: Goal, text: str, outputs: Sequence[OutputInfo]) -> None:
    name, names = output_of(text), [output.name for output in outputs]
    if name not in names:
        near = did_you_mean(name, names)
        raise UsageError(f"Goal {goal.id!r}: the model has no output {name!r}{near}. Outputs: {_listed(outputs)}.")


def _only_output(goal: Goal, outputs: Sequence[OutputInfo]) -> OutputInfo:
    if len(outputs) == 1:
        return outputs[0]
    if goal.metric in METRICS and METRICS[goal.metric].classes:
        return _class_output(goal.metric, outputs)
    raise UsageError(
        f"Goal {goal.metric!r}: the model has {len(outputs)} outputs; say which, "
        f"as in {goal.metric}@{outputs[0].name}. Outputs: {_listed(outputs)}."
    )


def _class_output(metric: str, outputs: Sequence[OutputInfo]) -> OutputInfo:
    candidates = [output for output in outputs if output.has_classes]
    if len(candidates) == 1:
        return candidates[0]
    found = f"{len(candidates)} outputs have" if candidates else "no output has"
    raise UsageError(
        f"{metric} needs one output of shape [N, C], but {found} it. "
        f"Give --metric or --goal with an output, as in --goal '{metric}@OUTPUT,...'. Outputs: {_listed(outputs)}."
    )


def _labels(goal: Goal, keys: tuple[str, ...]) -> str | None:
    if goal.is_python and goal.labels is None:
        return None  # it reads all there are
    wanted = goal.labels or DEFAULT_LABELS
    if wanted in keys:
        return wanted
    if goal.is_custom and goal.labels is None:
        return None
    near = did_you_mean(wanted, keys)
    raise UsageError(
        f"Goal {goal.id!r}: the evaluation set has no label array {wanted!r}{near}; "
        f"it has {listing(keys)} beside the inputs. Add it, or name another with labels=KEY."
    )


def _listed(outputs: Sequence[OutputInfo]) -> str:
    return ", ".join(str(output) for output in outputs)
