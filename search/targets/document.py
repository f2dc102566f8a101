"""Target files: finding them, reading TOML, and laying a file over the one it extends.

Tables merge key by key; ``[[rule]]`` entries merge by ``id`` and keep their place, new ones come last; anything else
is replaced.
"""

from __future__ import annotations

import tomllib
from importlib import resources
from pathlib import Path
from typing import Any

from search import targets
from search.errors import UsageError
from search.spec.suggestion import did_you_mean

Document = dict[str, Any]
_MAX_BYTES = 1 << 20


def target_names() -> tuple[str, ...]:
    """Names of the built-in targets, sorted."""
    folder = resources.files(targets) / "data"
    return tuple(sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml")))


def read_document(name_or_path: str) -> Document:
    """Return the whole document of a built-in target or of a user's file, with what it extends merged in.

    Raises:
        UsageError: If there is no such target or file, it is not TOML, or it extends itself.
    """
    return _resolve(name_or_path, base=Path(), seen=())


def _resolve(name_or_path: str, *, base: Path, seen: tuple[str, ...]) -> Document:
    if name_or_path in seen:
        raise UsageError(f"Target {name_or_path!r} extends itself: {' -> '.join((*seen, name_or_path))}.")
    names = target_names()
    if name_or_path in names:
        folder = resources.files(targets) / "data"
        document, where = _parse((folder / f"{name_or_path}.toml").read_bytes(), name_or_path), base
    else:
        path = base / name_or_path
        document, where = _parse(_read(path, name_or_path, names), str(path)), path.parent
    parent = document.pop("extends", None)
    if parent is None:
        return document
    if not isinstance(parent, str):
        raise UsageError(f"Target {name_or_path!r}: key 'extends' must be a text: a target name or a path.")
    return _overlay(_resolve(parent, base=where, seen=(*seen, name_or_path)), document)


def _read(path: Path, asked: str, names: tuple[str, ...]) -> bytes:
    if path.suffix != ".toml" or not path.is_file():
        raise UsageError(
            f"Unknown target {asked!r}{did_you_mean(asked, names)}. "
            f"Known: {', '.join(names)}; or give the path of a .toml file."
        )
    if path.stat().st_size > _MAX_BYTES:
        raise UsageError(f"Target file {str(path)!r} is larger than {_MAX_BYTES} bytes.")
    return path.read_bytes()


def _parse(content: bytes, where: str) -> Document:
    try:
        return tomllib.loads(content.decode("utf-8"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"Target file {where!r} is not valid TOML: {error}.") from None


def _overlay(under: Document, over: Document) -> Document:
    merged = dict(under)
    for key, value in over.items():
        below = merged.get(key)
        if key == "rule" and isinstance(value, list) and isinstance(below, list):
            merged[key] = _overlay_rules(below, value)
        elif isinstance(value, dict) and isinstance(below, dict):
            merged[key] = _overlay(below, value)
        else:
            merged[key] = value
    return merged


def _overlay_rules(under: list[Any], over: list[Any]) -> list[Any]:
    rules = list(under)
    places = {rule.get("id"): i for i, rule in enumerate(rules) if isinstance(rule, dict)}
    for rule in over:
        place = places.get(rule.get("id")) if isinstance(rule, dict) else None
        if place is None:
            rules.append(rule)
        else:
            rules[place] = {**rules[place], **rule}
    return rules
