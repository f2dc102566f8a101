"""From the chosen assignment to the files other tools load: ONNX Runtime, Horizon, spreadsheets."""
