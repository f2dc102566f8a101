"""The fake-quant evaluator: the Q/DQ graph of one placement, run on ONNX Runtime, measured on evaluation samples."""
