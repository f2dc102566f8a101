"""YAML or JSON text to plain values, for files that strangers may have written.

Differences from PyYAML's safe loader: only ``true`` and ``false`` are booleans (``on``, ``off``, ``yes``, ``no`` stay
words), ``2.0e10`` is a number, numbers remember their text, dates stay text, keys are always text, a key given twice is
an error, what overrides a merged key stays when it is merged itself, and nesting, aliases and what aliases expand to
are limited (a few lines of anchors can expand to billions of values).
"""

from __future__ import annotations

import json
import re
from typing import Any, cast

import yaml

from search.errors import UsageError
from search.spec.strict import WrittenFloat, WrittenInt, WrittenSwitch

MAX_CHARACTERS = 4 * 2**20
MAX_DEPTH = 40
MAX_ALIASES = 100
MAX_VALUES = 500_000

_MERGE = "tag:yaml.org,2002:merge"
_RESOLVERS = (
    ("tag:yaml.org,2002:null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("tag:yaml.org,2002:bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("tag:yaml.org,2002:int", r"[-+]?[0-9]+", list("-+0123456789")),
    (
        "tag:yaml.org,2002:float",
        r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?",
        list("-+0123456789."),
    ),
    ("!switch", r"on|On|ON|off|Off|OFF|yes|Yes|YES|no|No|NO", list("oOyYnN")),
    (_MERGE, r"<<", ["<"]),
)


class _SpecLoader(yaml.SafeLoader):
    """Composes one document of plain values; see the head of this file for what is special."""

    yaml_implicit_resolvers = {}  # noqa: RUF012  # none of PyYAML's own; filled below
    yaml_constructors = {  # noqa: RUF012  # no dates, sets, base64, and never Python objects
        tag: yaml.SafeLoader.yaml_constructors[tag]
        for tag in (*(f"tag:yaml.org,2002:{kind}" for kind in ("null", "bool", "str", "seq", "map")), None)
    }

    def __init__(self, text: str, most_values: int) -> None:
        super().__init__(text)
        self._most_values = most_values
        self._n_values = 0
        self._depth = 0
        self._n_aliases = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event: yaml.Event = self.peek_event()  # type: ignore[no-untyped-call]
        self._n_aliases += isinstance(event, yaml.AliasEvent)
        if self._n_aliases > MAX_ALIASES:
            raise _problem(f"more than {MAX_ALIASES} aliases", event)
        if self._depth > MAX_DEPTH:
            raise _problem(f"nested deeper than {MAX_DEPTH} levels", event)
        self._n_values += 1
        if self._n_values > self._most_values:
            raise _problem(f"more than {self._most_values} keys and values", event)
        self._depth += 1
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def compose_mapping_node(self, anchor: dict[Any, yaml.Node]) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise _problem("a key must be plain text", key)
            if key.value in seen:
                raise _problem(f"key {key.value!r} is given twice", key)
            seen.add(key.value)
        return node

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Put in what ``<<`` names: a mapping's own keys win, then those of the mapping named first."""
        merges = [value for key, value in node.value if key.tag == _MERGE]
        node.value = [pair for pair in node.value if pair[0].tag != _MERGE]
        taken = {key.value for key, _ in node.value}
        merged: list[tuple[yaml.Node, yaml.Node]] = []
        for value in merges:
            for mapping in value.value if isinstance(value, yaml.SequenceNode) else [value]:
                if not isinstance(mapping, yaml.MappingNode):
                    raise _problem("<< needs a mapping or a list of mappings", mapping)
                self.flatten_mapping(mapping)
                fresh = [pair for pair in mapping.value if pair[0].value not in taken]
                taken |= {key.value for key, _ in fresh}
                merged += fresh
        node.value = merged + node.value

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        self.flatten_mapping(node)
        return {key.value: self.construct_object(value, deep=deep) for key, value in node.value}


def _problem(text: str, at: yaml.Event | yaml.Node) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=text, problem_mark=cast(yaml.Mark, at.start_mark))


def _construct_int(_: _SpecLoader, node: yaml.ScalarNode) -> WrittenInt | str:
    # Python refuses to convert thousands of digits; such a thing is not a number of any spec.
    return WrittenInt.read(node.value) if len(node.value) <= 40 else str(node.value)


def _construct_float(_: _SpecLoader, node: yaml.ScalarNode) -> WrittenFloat:
    return WrittenFloat.read(node.value)


def _construct_switch(_: _SpecLoader, node: yaml.ScalarNode) -> WrittenSwitch:
    return WrittenSwitch(node.value)


for _tag, _pattern, _first in _RESOLVERS:
    _SpecLoader.add_implicit_resolver(_tag, re.compile(f"^(?:{_pattern})$"), _first)
_SpecLoader.add_constructor("tag:yaml.org,2002:int", _construct_int)
_SpecLoader.add_constructor("tag:yaml.org,2002:float", _construct_float)
_SpecLoader.add_constructor("!switch", _construct_switch)


def read_values(text: str, *, where: str, most_characters: int = MAX_CHARACTERS, most_values: int = MAX_VALUES) -> Any:
    """Return the values of a YAML or JSON text.

    Args:
        text: The text of a whole file.
        where: What the user knows it by, for messages.
        most_characters: Of a YAML text, whose reading takes microseconds for each; JSON may have ``MAX_CHARACTERS``.
        most_values: Keys and values it may hold; reading ends at the first one beyond.

    Raises:
        UsageError: If the text is too long, is neither, or breaks a limit of this file's head; the message
            names the line.
    """
    if len(text) > MAX_CHARACTERS:
        raise UsageError(f"{where}: a spec may have {MAX_CHARACTERS} characters, got {len(text)}.")
    if text.lstrip("\ufeff \t\r\n").startswith("{"):
        try:
            return _read_json(text.lstrip("\ufeff"), where, most_values)
        except (json.JSONDecodeError, RecursionError):
            pass  # YAML has braces too, and its messages name a line
    if len(text) > most_characters:
        raise UsageError(
            f"{where}: as YAML it may have {most_characters} characters, got {len(text)}. Send it as JSON, or put long "
            "lists of overrides into a file of their own."
        )
    return _read_yaml(text, where, most_values)


def _read_yaml(text: str, where: str, most_values: int) -> Any:
    try:
        loader = _SpecLoader(text, most_values)
        node = loader.get_single_node()
        if node is None:
            return None
        _measure(node, {}, where)
        return loader.construct_document(node)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark is not None else ""
        raise UsageError(f"{where}: {place}{error.problem}. Correct the YAML there.") from None
    except (yaml.YAMLError, ValueError, KeyError) as error:
        raise UsageError(f"{where}: cannot be read as YAML: {' '.join(str(error).split())}.") from None


def _measure(node: yaml.Node, known: dict[int, tuple[int, int] | None], where: str) -> tuple[int, int]:
    """Return how many values ``node`` expands to and how deep, aliases written out; the cost is that of the text.

    An alias stands after its anchor, so its extent is already ``known``; None marks a node whose children are being
    visited.
    """
    if id(node) in known:
        extent = known[id(node)]
        if extent is None:
            raise UsageError(f"{where}: an anchor contains its own alias. Write the value out.")
        return extent
    known[id(node)] = None
    children = [] if isinstance(node, yaml.ScalarNode) else node.value
    flat = [part for child in children for part in (child if isinstance(child, tuple) else (child,))]
    extents = [_measure(child, known, where) for child in flat]
    size, depth = 1 + sum(size for size, _ in extents), 1 + max((depth for _, depth in extents), default=0)
    if size > MAX_VALUES or depth > 2 * MAX_DEPTH:
        limits = f"{MAX_VALUES} values or {2 * MAX_DEPTH} levels"
        raise UsageError(f"{where}: aliases expand to more than {limits}. Write out what they stand for.")
    known[id(node)] = size, depth
    return size, depth


def _read_json(text: str, where: str, most_values: int) -> Any:
    if text.count(",") + text.count(":") > most_values:  # before anything is read; each stands between two of them
        raise UsageError(f"{where}: more than {most_values} keys and values.")

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for key, value in pairs:
            if key in values:
                raise UsageError(f"{where}: key {key!r} is given twice.")
            values[key] = value
        return values

    def refuse(constant: str) -> Any:
        raise UsageError(f"{where}: {constant} is not a number a spec can hold.")

    values = json.loads(
        text,
        object_pairs_hook=unique,
        parse_constant=refuse,
        parse_float=WrittenFloat.read,
        parse_int=lambda digits: WrittenInt.read(digits) if len(digits) <= 40 else digits,
    )
    level = [values]
    for _ in range(MAX_DEPTH):
        level = [child for value in level for child in _children(value)]
    if level:
        raise UsageError(f"{where}: nested deeper than {MAX_DEPTH} levels. A spec needs six.")
    return values


def _children(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []
