"""Reading an ONNX model and seeing it as groups: limits, normal form, patterns, fusion."""
