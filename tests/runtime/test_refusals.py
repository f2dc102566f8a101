"""Refusals of the runtime in this project's words; the texts on the left are what ONNX Runtime 1.24 to 1.31 says."""

import numpy as np
import pytest

from search.runtime.refusals import load_refusal, run_refusal

RAW = "[ONNXRuntimeError] : 1 : FAIL : "


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            RAW
            + "Type Error: Type (tensor(float)) of output arg (s) of node (seq_1) does not match expected type (x).",
            "Node 'seq_1' reads or writes types that its operator does not take. Export the model again.",
        ),
        (
            RAW + "Could not find an implementation for MaxPool(12) node with name 'pool'",
            "MaxPool 'pool' has no CPU kernel for the types it is used with",
        ),
        (
            RAW + 'This is an invalid model. In Node, ("op", Foo, "", -1) : () -> () , Error No Op registered for Foo',
            "Foo 'op' is no operator of this opset.",
        ),
        (RAW + "std::bad_alloc", "does not fit into memory"),
        (RAW + "something new", "A node of the model cannot be set up as the file states it"),
    ],
)
def test_a_model_that_does_not_load_is_told_by_its_node(text: str, said: str) -> None:
    message = load_refusal(text)
    assert said in message
    assert "ONNXRuntimeError" not in message


def test_a_run_that_fails_names_the_innermost_node_and_what_was_fed() -> None:
    text = (
        RAW
        + "Non-zero status code returned while running Loop node. Name:'outer' Status Message: Non-zero status code "
        "returned while running Reshape node. Name:'inner' Status Message: /onnxruntime_src/core/reshape_helper.h:91 no"
    )
    message = run_refusal(text, {"x": np.zeros((2, 3), np.float32)})
    assert message.startswith("Reshape 'inner' cannot compute with the values and sizes it gets from x float32[2, 3].")
    assert "onnxruntime_src" not in message


def test_an_input_that_does_not_fit_is_named() -> None:
    text = "[ONNXRuntimeError] : 2 : INVALID_ARGUMENT : Got invalid dimensions for input: x for the following indices"
    assert "sizes or type of input 'x' differ" in run_refusal(text, {"x": np.zeros((1, 4), np.float32)})
