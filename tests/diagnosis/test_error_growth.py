"""Where the error starts to grow."""

from __future__ import annotations

from search.diagnosis.error_growth import Layer, error_growth


def chain(*levels, rounding=None, reasons=None):
    """Layers that read each other one after the other."""
    return [
        Layer(
            name=f"n{n}",
            format="int8",
            sqnr_db=level,
            rounding_db=(rounding or {}).get(n, 60.0),
            reads=(n - 1,) if n else (),
            reason=(reasons or {}).get(n),
        )
        for n, level in enumerate(levels)
    ]


def test_the_first_layer_that_falls_to_where_the_lowest_is_starts_it():
    found = error_growth(chain(80.0, 44.0, 42.0, 24.0, 23.0, 12.5, 22.0))
    assert found.start == 3
    assert found.falls == (None, 36.0, 2.0, 18.0, 1.0, 10.5, -9.5)
    assert found.summary == (
        "SQNR is lowest at n5, 12.5 dB. The error starts to grow at n3, from 42.0 dB to 24.0 dB, "
        "more than rounding to int8 explains (60.0 dB alone): inputs and weights do."
    )


def test_a_layer_whose_own_rounding_explains_its_error_says_so():
    found = error_growth(chain(45.0, 20.0, 19.0, rounding={1: 20.5}))
    assert found.start == 1
    assert found.summary.endswith(
        "at n1, from 45.0 dB to 20.0 dB; rounding its result to int8 explains it (20.5 dB alone)."
    )


def test_an_error_that_grows_evenly_starts_nowhere():
    found = error_growth(chain(45.0, 41.0, 37.0, 33.0, 29.0, 25.0))
    assert found.start is None
    assert found.summary == (
        "SQNR is lowest at n5, 25.0 dB. No single layer loses 6 dB on the way there: the error grows evenly."
    )


def test_an_error_out_of_exact_inputs_starts_where_it_appears():
    found = error_growth(chain(200.0, 21.0, 20.0))
    assert (found.start, found.falls) == (1, (None, None, 1.0))
    assert "at n1, from what is exact to 21.0 dB" in found.summary


def test_the_worst_tensor_that_is_read_counts():
    layers = [*chain(45.0, 25.0), Layer(name="sum", format="int8", sqnr_db=24.0, rounding_db=None, reads=(0, 1))]
    assert error_growth(layers).falls[2] == 1.0


def test_values_that_are_not_finite_come_first():
    reason = {2: "3 of 9 quantized values are not finite"}
    found = error_growth(chain(45.0, 20.0, None, None, reasons=reason))
    assert (found.start, found.falls[2]) == (2, None)
    assert found.summary == "From n2 on values are not finite: 3 of 9 quantized values are not finite."


def test_without_an_error_or_a_ratio_nothing_starts():
    assert error_growth(chain(200.0, 200.0)).summary == "No layer has an error."
    assert error_growth(chain(None)).summary == "No layer has a ratio of signal to error."
    assert error_growth([]).start is None
