"""The two themes of the report: complete, equal in both places, and with enough contrast."""

from __future__ import annotations

import re

import pytest

from search.export.report.modules import REPORT_MODULES, bundle, source

CSS = source("page.css")
SCRIPT = bundle(REPORT_MODULES)


def _tokens(selector: str) -> dict[str, str]:
    block = re.search(re.escape(selector) + r"\s*\{([^}]*)\}", CSS)
    assert block is not None
    return dict(re.findall(r"--([\w-]+):\s*(#[0-9a-f]{6});", block.group(1)))


LIGHT = _tokens(":root")
DARK = _tokens(':root[data-theme="dark"]')


def _luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _contrast(first: str, second: str) -> float:
    bright, dim = sorted((_luminance(first), _luminance(second)), reverse=True)
    return (bright + 0.05) / (dim + 0.05)


def test_both_dark_blocks_and_the_light_one_name_the_same_colours():
    assert _tokens(':root:not([data-theme="light"])') == DARK
    assert DARK.keys() == LIGHT.keys()


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
def test_text_reaches_four_and_a_half_to_one(theme):
    for name in ("ink", "muted", "link", "good", "bad", "int8", "a16"):
        for ground in ("page", "surface"):
            assert _contrast(theme[name], theme[ground]) >= 4.5, (name, ground)
    for name in ("ink", "muted"):
        assert _contrast(theme[name], theme["sunken"]) >= 4.5, name
    for name in ("good", "bad"):
        assert _contrast(theme[name], theme[f"{name}-soft"]) >= 4.5, name
    for name in ("a16", "w16", "int16", "fp16", "fp32"):
        assert _contrast(theme["on-fill"], theme[name]) >= 4.5, name


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
def test_marks_of_charts_reach_three_to_one(theme):
    marks = (
        "met",
        "missed",
        "early",
        "infeasible",
        "activation",
        "weight",
        "goal",
        "int8",
        "a16",
        "w16",
        "int16",
        "fp16",
        "fp32",
    )
    for name in marks:
        assert _contrast(theme[name], theme["surface"]) >= 3, name


def test_the_script_uses_only_colours_that_exist():
    used = set(re.findall(r'colour\("([\w-]+)"\)', SCRIPT)) | set(re.findall(r'colour: "([\w-]+)"', SCRIPT))
    assert used <= LIGHT.keys()
    assert set(re.findall(r"var\(--([\w-]+)\)", CSS)) - {"tone", "soft"} <= LIGHT.keys()


def test_the_script_needs_no_permission_beyond_its_hash():
    assert not re.search(
        r"\beval\b|new Function|innerHTML|insertAdjacentHTML|document\.write|setAttribute\(\"style\"", SCRIPT
    )
    assert not re.search(r"\bfetch\(|XMLHttpRequest|^import\b|^export\b|\bimport\(", SCRIPT, re.MULTILINE)
    # Plotly reads these tags in text and would write a style attribute for them.
    assert not re.search(r"<(b|i|sup|sub|a|span)[ >]", SCRIPT)


def test_a_module_must_stand_behind_those_it_imports_from():
    with pytest.raises(ValueError, match=r"page\.js imports from charts\.js, which must stand before it"):
        bundle(("page.js", "charts.js"))
