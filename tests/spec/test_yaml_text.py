import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.errors import UsageError
from search.spec.strict import WrittenFloat, WrittenInt, WrittenSwitch
from search.spec.yaml_text import MAX_DEPTH, read_values

SAFE_TEXT = st.text(st.characters(codec="ascii", categories=("L", "N", "P")), max_size=12)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**40), 2**40)
    | st.floats(allow_nan=False, allow_infinity=False)
    | SAFE_TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(SAFE_TEXT, inner, max_size=4),
    max_leaves=20,
)


@given(VALUES)
def test_reads_what_json_wrote(value):
    assert read_values(json.dumps(value), where="spec") == value


@pytest.mark.parametrize("word", ["on", "off", "yes", "no", "On", "NO"])
def test_keeps_switch_words_as_text(word):
    value = read_values(f"x: {word}", where="spec")["x"]
    assert value == word
    assert isinstance(value, WrittenSwitch)


def test_a_quoted_word_is_only_text():
    assert type(read_values("x: 'off'", where="spec")["x"]) is str


@pytest.mark.parametrize(
    ("text", "number"), [("3.20", 3.2), ("2.0e10", 2e10), ("1e-3", 1e-3), (".5", 0.5), ("-4.", -4.0)]
)
@pytest.mark.parametrize("form", ["x: {}", '{{"x": {}}}'])
def test_numbers_remember_how_they_were_written(form, text, number):
    value = read_values(form.format(text), where="spec")["x"]
    assert isinstance(value, WrittenFloat)
    assert (float(value), value.text) == (number, text)


def test_leading_zeros_are_remembered():
    value = read_values("x: 010", where="spec")["x"]
    assert isinstance(value, WrittenInt)
    assert (int(value), value.text) == (10, "010")


def test_dates_and_clock_times_stay_text():
    assert read_values("[2024-01-01, 1:30]", where="spec") == ["2024-01-01", "1:30"]


def test_keys_are_always_text():
    assert read_values("{507: a, true: b, 3.20: c, no: d}", where="spec") == {
        "507": "a",
        "true": "b",
        "3.20": "c",
        "no": "d",
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: &a {p: 1, long name: 1}\nb: {<<: *a, p: 2}", {"p": 2, "long name": 1}),
        ("a: &a {p: 1}\nc: &c {p: 3, r: 3}\nb: {<<: [*a, *c], q: 2}", {"p": 1, "q": 2, "r": 3}),
        ("a: &a {p: 1}\nc: &c {<<: *a, p: 3}\nd: &d {<<: *c, r: 4}\nb: {<<: *d}", {"p": 3, "r": 4}),
    ],
)
def test_merged_keys_give_way_to_own_and_to_earlier_ones(text, expected):
    assert read_values(text, where="spec")["b"] == expected


@pytest.mark.parametrize("merged", ["3", "[1]", "text"])
def test_only_mappings_can_be_merged(merged):
    with pytest.raises(UsageError, match=r"line 1, column \d+: << needs a mapping or a list of mappings"):
        read_values(f"b: {{<<: {merged}}}", where="spec")


def test_merge_keys_work_also_where_a_merged_mapping_overrides_its_own_base():
    text = "base: &a {p: 1}\nouter:\n  inner: &b {<<: *a, p: 2}\nlast: {<<: *b, q: 3}\n"
    values = read_values(text, where="spec")
    assert values["outer"] == {"inner": {"p": 2}}
    assert values["last"] == {"p": 2, "q": 3}


def _nested_anchors(n_levels, width):
    lines = ["a0: &a0 x"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * width)}]" for i in range(1, n_levels + 1)]
    return "\n".join(lines)


def test_refuses_anchors_that_expand_to_billions():
    with pytest.raises(UsageError, match="aliases expand to more than 500000 values"):
        read_values(_nested_anchors(10, 9), where="spec")


def test_refuses_aliases_that_nest_deeply():
    text = "a0: &a0 x\n" + "\n".join(f"a{i}: &a{i} {'[' * 30}*a{i - 1}{']' * 30}" for i in range(1, 60))
    with pytest.raises(UsageError, match="80 levels"):
        read_values(text, where="spec")


def test_refuses_many_aliases():
    with pytest.raises(UsageError, match="more than 100 aliases"):
        read_values(f"a: &a 1\nb: [{'*a, ' * 101}]", where="spec")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: &a [*a]", "its own alias"),
        ("a: !!python/object/apply:os.system [x]", "could not determine a constructor"),
        ("a: !!timestamp x", "could not determine a constructor"),
        ("a: !!map 3", "cannot be read as YAML"),
        ("a: !!bool perhaps", "cannot be read as YAML"),
        ("a: 1\nb: 2\na: 3", r"spec: line 3, column 1: key 'a' is given twice"),
        ('{"a": 1, "a": 2}', "key 'a' is given twice"),
        ('{"a": NaN}', "NaN is not a number"),
        ("? [1]\n: 2", "a key must be plain text"),
        ("a: b: c", "line 1, column 5"),
        ("a\0", "cannot be read as YAML"),
        ("--- a\n--- b", "another document"),
        ("[" * 1000, "nested deeper than"),
        ('{"a":' * 500 + "1" + "}" * 500, "nested deeper than"),
        ('{"a":' * 50_000, "nested deeper than"),
        ("#" * (4 * 2**20 + 1), "may have 4194304 characters"),
    ],
)
def test_refuses_with_one_line(text, message):
    with pytest.raises(UsageError, match=message) as caught:
        read_values(text, where="spec")
    assert "\n" not in str(caught.value)


def test_accepts_nesting_up_to_the_limit():
    for text in ("[" * MAX_DEPTH + "]" * MAX_DEPTH, '{"a":' * (MAX_DEPTH - 1) + "1" + "}" * (MAX_DEPTH - 1)):
        assert read_values(text, where="spec")


@given(st.text(max_size=60))
def test_never_fails_in_another_way(text):
    with contextlib.suppress(UsageError):
        read_values(text, where="spec")


def test_an_empty_text_is_nothing():
    assert read_values("", where="spec") is None
