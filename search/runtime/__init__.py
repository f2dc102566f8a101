"""Running ONNX models: the one place that knows ONNX Runtime."""
