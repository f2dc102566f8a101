"""A target: a chip with its rules, arithmetic and cost coefficients, read from a TOML file.

``load_target("j6m", toolchain="3.2.0")`` or ``load_target("my-chip.toml", toolchain=None)``. See docs/targets.md for
the file.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any, Literal

from pydantic import Field, ValidationError

from search.canonical import digest_json
from search.errors import UsageError
from search.graph.fusion import Fusion
from search.graph.network import OpClass
from search.graph.operators import CLASSES
from search.precision import Format, Precision
from search.targets import document
from search.targets.evidence import Route, Table, Version
from search.targets.rule import OperatorRules, Rule, merge_rules
from search.targets.settings import (
    Arithmetic,
    CalibrationDefaults,
    Coefficients,
    Coordinates,
    FixedScale,
    FusionTable,
    GridRule,
    HighOutput,
    Knight,
    Scales,
    UniformRequest,
)

SCHEMA = "bitbudget.target/1"


class Target(Table):
    """A chip as data.

    Attributes:
        name: Name of the target.
        title: One line for lists.
        march: Micro-architecture name of the vendor's tools, or None.
        toolchain_default: Version that is taken where none is given; an older one is warned of.
        toolchain: Version the rules are taken for, or None.
        route: Way to the chip that the rules are taken for, where the tools have several.
        scales: How ranges become scales.
        fusion: What the runtime runs as one operator; None is the default of ``search.graph.fusion``.
        calibration: Observers to try.
        arithmetic: Widths of the integer arithmetic.
        requests: Uniform requests.
        rules: Rules about operators, in order.
        high_precision_output: What a gemm may do that feeds only model outputs, if anything.
        coordinates: What holds for groups that compute a grid, if anything.
        grid: Fixed scale of grids, if any.
        fixed_output_scale: Operator type to format to scale.
        knight: What the Knight tools call the chip, if they are its tools.
        cost: Numbers of the cost model.
    """

    document_schema: Literal["bitbudget.target/1"] = Field(alias="schema")
    name: str
    title: str = ""
    march: str | None = None
    toolchain_default: Version | None = None
    toolchain: Version | None = None
    route: Route | None = None
    scales: Scales
    fusion: FusionTable | None = None
    calibration: CalibrationDefaults
    arithmetic: Arithmetic
    requests: tuple[UniformRequest, ...] = Field(alias="request")
    rules: tuple[Rule, ...] = Field(alias="rule")
    high_precision_output: HighOutput | None = None
    coordinates: Coordinates | None = None
    grid: GridRule | None = None
    fixed_output_scale: Mapping[str, Mapping[Format, FixedScale]] = {}
    knight: Knight | None = None
    cost: Coefficients

    @cached_property
    def digest(self) -> str:
        """Identity of everything the target says, tool-chain included."""
        return digest_json(self.to_json())

    @property
    def fused(self) -> Fusion:
        """What the runtime runs as one operator."""
        return Fusion() if self.fusion is None else self.fusion.fused

    @property
    def activation_rule(self) -> str:
        """Name of the scale rule of activations."""
        return self.scales.activation

    @property
    def weight_rule(self) -> str:
        """Name of the scale rule of weights."""
        return self.scales.weight

    @property
    def all_low_gemm(self) -> Precision:
        """What ``all_low`` asks of gemm groups."""
        return self.request("low").gemm

    @property
    def all_low_other(self) -> Precision:
        """What ``all_low`` asks of all other groups."""
        return self.request("low").other

    @property
    def all_high_gemm(self) -> Precision:
        """What ``all_high`` asks of gemm groups."""
        return self.request("high").gemm

    @property
    def all_high_other(self) -> Precision:
        """What ``all_high`` asks of all other groups."""
        return self.request("high").other

    @property
    def grid_rule(self) -> GridRule | None:
        """Fixed scale of GridSample grids, if this tool-chain has one."""
        grid = self.grid
        return grid if grid is not None and grid.enabled and grid.holds(self.toolchain, self.route) else None

    @property
    def coordinate_rule(self) -> Coordinates | None:
        """Precision of groups that compute grids, if this tool-chain forces one."""
        rule = self.coordinates
        return rule if rule is not None and rule.enabled and rule.holds(self.toolchain, self.route) else None

    @property
    def output_rule(self) -> HighOutput | None:
        """High-precision output of gemms, if this tool-chain has it."""
        rule = self.high_precision_output
        return rule if rule is not None and rule.enabled and rule.holds(self.toolchain, self.route) else None

    def request(self, level: Literal["low", "high"]) -> UniformRequest:
        """Return the uniform request of a level for this tool-chain."""
        found = [entry for entry in self.requests if entry.level == level and entry.holds(self.toolchain, self.route)]
        return found[-1]

    def operator_rules(self, op_class: OpClass, op_type: str) -> OperatorRules:
        """Return what the rules say about one class and operator type.

        Raises:
            UsageError: If they leave no precision, or do not say what the operator writes at one.
        """
        rules = merge_rules(self.rules, op_class, op_type, self.toolchain, self.route)
        name = f"class {op_class.value!r}" + (f", operator {op_type!r}" if op_type else "")
        if not rules.precisions:
            raise UsageError(f"Target {self.name!r}: key 'rule': no precision is allowed for {name}.")
        silent = [p.value for p in rules.precisions if not rules.writes.get(p)]
        if silent:
            raise UsageError(f"Target {self.name!r}: key 'rule': nothing says what {name} writes at {silent[0]}.")
        return rules

    def fixed_output(self, op_type: str, fmt: Format) -> tuple[float, int] | None:
        """Return ``(scale, zero_point)`` that outputs of ``op_type`` must have in ``fmt``, or None if they are free."""
        fixed = self.fixed_output_scale.get(op_type, {}).get(fmt)
        return None if fixed is None else (fixed.scale, fixed.zero_point)

    def to_json(self) -> dict[str, Any]:
        """Return the whole target as a JSON value."""
        return self.model_dump(mode="json", by_alias=True)

    @staticmethod
    def from_json(value: Mapping[str, Any]) -> Target:
        """Read what ``to_json`` wrote."""
        return _checked(dict(value), where=str(value.get("name", "target")))


def target_names() -> tuple[str, ...]:
    """Names of the built-in targets, sorted."""
    return document.target_names()


def load_target(name_or_path: str, *, toolchain: str | None, route: Route | None = None) -> Target:
    """Return a built-in target, or one from a TOML file of the user's.

    Args:
        name_or_path: A name of ``target_names()`` or the path of a ``.toml`` file, which may extend a built-in target.
        toolchain: Version of the vendor's tools; None takes the file's ``toolchain_default``.
        route: Way to the chip; None takes the file's.

    Raises:
        UsageError: If there is no such target, or the file has an unknown, missing or wrong key.
    """
    content = document.read_document(name_or_path)
    if toolchain is not None:
        content["toolchain"] = toolchain
    elif "toolchain" not in content:
        content["toolchain"] = content.get("toolchain_default")
    if route is not None:
        if content.get("route") is None:
            raise UsageError(f"Target {name_or_path!r} has one way to the chip: leave out target.route.")
        content["route"] = route
    return _checked(content, where=name_or_path)


def _checked(content: dict[str, Any], *, where: str) -> Target:
    try:
        target = Target.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(str(part) for part in first["loc"]) or "file"
        raise UsageError(f"Target {where!r}: key {key!r}: {first['msg']}. See docs/targets.md for the keys.") from None
    _check_requests(target, where)
    _check_rules(target)
    _check_coefficients(target, where)
    return target


def _check_requests(target: Target, where: str) -> None:
    for level in ("low", "high"):
        if not any(entry.level == level and entry.holds(target.toolchain, target.route) for entry in target.requests):
            raise UsageError(
                f"Target {where!r}: key 'request': none with level = {level!r} for tool-chain {target.toolchain}."
            )


def _check_rules(target: Target) -> None:
    """Every class, and every known operator with rules of its own, can run at something and write what it computes."""
    for op_class in OpClass:
        target.operator_rules(op_class, "")
    for op_type in sorted({name for rule in target.rules for name in rule.applies_to}):
        if op_type in CLASSES:
            target.operator_rules(CLASSES[op_type], op_type)


def _check_coefficients(target: Target, where: str) -> None:
    gemm = target.operator_rules(OpClass.GEMM, "").precisions + target.operator_rules(OpClass.RECURRENT, "").precisions
    missing = [p.value for p in (*gemm, Precision.FP32) if p not in target.cost.relative_rate]
    if missing:
        raise UsageError(f"Target {where!r}: key 'cost.relative_rate.{missing[0]}' is missing.")
    for fmt in Format:
        if fmt not in target.cost.elements_per_s.get("default", {}):
            raise UsageError(f"Target {where!r}: key 'cost.elements_per_s.default.{fmt.value}' is missing.")
    for kind in ("integer", "float"):
        if kind not in target.cost.cast_bytes_per_s:
            raise UsageError(f"Target {where!r}: key 'cost.cast_bytes_per_s.{kind}' is missing.")
